"""The admission controller: what the API server asks before it takes an object, answered out of policies that are at hand."""

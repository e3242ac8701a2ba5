"""What people have judged of flaws: ignore files and VEX documents, read into structs. Knows no report."""

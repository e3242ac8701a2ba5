"""The offline bundle of StackRox's Scanner V4, read into the same records that our own feeds make.

The bundle is ClairCore's: zips in a zip, and in them streams of JSON in which each record is one flaw in one
package. It is signed by nobody. Written against ClairCore's source (commit 0f12d7b) and StackRox's exporter
(commit bed4a7b); what each updater's records mean is in the module of its kind.

Knows nothing of trust or of the shelf: those decide whether a bundle like this may come in at all.
"""

#: The newest release of StackRox that is known to have an offline bundle, and the one that Redoubt follows.
NEWEST_RELEASE = "4.11.3"

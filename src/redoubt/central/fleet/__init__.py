"""The fleet: everything that is in all images, judged again when definitions change, without an image being touched."""

"""The report of a training: one HTML file that needs no network, no server and no scripts."""

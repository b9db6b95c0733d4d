# Sourced by the scripts that run many checks: headings that say what runs, and how long all before
# it took.

sections_start=${sections_start:-$SECONDS}

# section TITLE: prints a heading.
section() {
    printf '\n=== [%3d s] %s\n' $((SECONDS - sections_start)) "$1"
}

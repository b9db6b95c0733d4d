# Sourced by the scripts that run many checks: headings that say what runs, and how long all before
# it took; and lanes, which run at the same time.

sections_start=${sections_start:-$SECONDS}

# section TITLE: prints a heading.
section() {
    printf '\n=== [%3d s] %s\n' $((SECONDS - sections_start)) "$1"
}

# in_two_lanes FIRST SECOND: runs two functions at the same time. The first prints as it goes; what
# the second has printed is shown when both have ended, or at once if it fails. Whichever fails ends
# the other.
in_two_lanes() {
    local log first second status=0
    log=$(mktemp)
    # Each lane is a process group of its own, so that it ends with all that it has started.
    set -m
    (set -e; "$1") &
    first=$!
    (set -e; "$2") >"$log" 2>&1 &
    second=$!
    set +m
    # shellcheck disable=SC2064 # the lanes of this call
    trap "kill -- -$first -$second 2>/dev/null; exit 130" INT TERM
    # `wait -n` would do, and is not there in older versions of bash.
    while kill -0 "$first" 2>/dev/null && kill -0 "$second" 2>/dev/null; do
        sleep 0.2
    done
    local ended=$first other=$second
    kill -0 "$first" 2>/dev/null && ended=$second other=$first
    wait "$ended" || status=$?
    if ((status != 0)); then
        kill -- "-$other" 2>/dev/null || true
        wait "$other" || true
    else
        wait "$other" || status=$?
    fi
    trap - INT TERM
    cat "$log"
    rm -f "$log"
    return "$status"
}

#!/usr/bin/env bash
# Builds the site into a folder; a warning is an error, and all of them are shown.
#
#     tools/build_site.sh FOLDER
#
# PYTHON is an interpreter with the packages of tools/requirements-docs.txt and tests/requirements.txt, and evengrad.
# BUILDER=linkcheck asks the hosts of links instead. FILTER names the examples that run, by a part of their names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=$1
builder=${BUILDER:-html}
# Notebooks show their figures by a backend of their own.
unset MPLBACKEND
settings=()
if [[ $builder == linkcheck ]]; then
    settings+=(-D plot_gallery=0 -D nb_execution_mode=off)
elif [[ -n ${FILTER:-} ]]; then
    settings+=(-D "sphinx_gallery_conf.filename_pattern=$FILTER")
fi
# The guide's pictures are drawn with the site.
"$PYTHON" docs/figures/draw.py >/dev/null
# What Sphinx keeps between builds lies beside the site, not in it.
"$PYTHON" -m sphinx -b "$builder" -q -n -W --keep-going -d "$folder.doctrees" "${settings[@]}" docs "$folder"
if [[ $builder == html ]]; then
    "$PYTHON" tools/check_site.py "$folder"
fi

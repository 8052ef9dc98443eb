#!/bin/bash
# Unpack the newest kernel of a series that Debian 12 has: fetch-kernel.sh SERIES OUT
# The machine's own package lists and sources are left alone.
. "$(dirname "${BASH_SOURCE[0]}")/../kind/lib.sh"

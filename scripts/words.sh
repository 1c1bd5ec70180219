#!/usr/bin/env bash
# Lists words that this project does not use in code, comments and messages, with the plain word to use instead.
# Fails if there is any hit that is not argued below. Usage: scripts/words.sh [PATH...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -gt 0 ] || set -- src include examples-c adapters

# Pattern (extended, any case)        what to write instead
words=(
    '\b(tell|tells|told|telling)\b|report, return, notify'
    '\b(nobody|somebody|anybody|everybody)('"'"'s)?\b|name the role: no thread, the host, a client, every user'
    '\b(whoever|whom)\b|name the type or role'
    '\b(go|goes|going|went|gone) on\b|continue'
    '\bserves? on\b|keep serving'
    '\b(take|takes|taken|taking|took) up\b|accept, apply, start'
    '\b(hand|hands|handed|handing)( it| them|) over\b|pass, push, transfer'
    '\b(hold|holds|held|holding) still\b|be stable'
    '\bthe story\b|name the thing'
    '\bof (its|their|his|our|my) own\b|own, separate'
    '\bmeanwhile\b|name the time, or leave out'
    '\b(look|looks|looked|looking) at\b|scan, read, check'
    '\bsettl(e|es|ed|ing)\b|debounce, retry'
    '\b(stands|stood)\b|is, remains, lasts'
    '\b(he|him|his)\b|name the role'
)

# Hits that are right as they stand: file pattern, then the line's text.
argued=(
    # None so far.
)

allowed() {
    local line=$1 rule
    for rule in "${argued[@]+"${argued[@]}"}"; do
        [[ $line == $rule ]] && return 0
    done
    return 1
}

found=0
for word in "${words[@]}"; do
    pattern=${word%|*} instead=${word##*|}
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        allowed "$line" && continue
        printf '%s\n    write instead: %s\n' "$line" "$instead"
        found=$((found + 1))
    done < <(grep -rnHiE --include='*.rs' --include='*.[ch]' --include='*.hpp' --include='*.cpp' "$pattern" "$@" || true)
done
if [ "$found" -gt 0 ]; then
    printf '%d banned words in %s\n' "$found" "$*"
    exit 1
fi
echo "No banned words in $*"

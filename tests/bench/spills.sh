#!/bin/sh
# Looks through compiled kernels for vector registers that are saved to and restored from the stack inside a loop that
# multiplies: such a kernel gives the right numbers at two thirds of its speed.
#
#     tests/bench/spills.sh OBJECT...
#
# A loop is what a backward jump spans inside one function, if one can come from its target to it there, without another
# such jump's span in it.  (Compilers put seldom steps behind a function's end, and jump back from there.)  Not counted are
# one move for 32 multiplications or more (it has units of its own, and they are idle), and functions that finish a
# tile's sums (store_any_type, depthwise_finish): they run once a tile, and their loop is a whole activation with its
# constants.
set -eu
status=0
for object in "$@"; do
    objdump -d --no-show-raw-insn "$object" | awk -v object="$object" '
        # Does the code from line `first` on lead to line `last` without leaving what is between?
        function comes_round(first, last,  i, seen, more) {
            if ((first, last) in known)
                return known[first, last]
            seen[first]
            do {
                more = 0
                for (i = first; i < last; i++) {
                    if (!(i in seen))
                        continue
                    if (text[i] !~ /^(jmp|ret)/ && !(i + 1 in seen)) {
                        seen[i + 1]
                        more = 1
                    }
                    if ((i in goes) && (goes[i] in at) && at[goes[i]] >= first && at[goes[i]] <= last &&
                        !(at[goes[i]] in seen)) {
                        seen[at[goes[i]]]
                        more = 1
                    }
                }
            } while (more && !(last in seen))
            return known[first, last] = last in seen
        }
        function close_function(  i, j, inner, moves, multiplies) {
            for (i = 1; i <= jumps; i++) {
                if (!comes_round(from[i], to[i]))
                    continue
                inner = 1
                for (j = 1; j <= jumps; j++)
                    if (j != i && from[j] >= from[i] && to[j] <= to[i] && (from[j] > from[i] || to[j] < to[i]) &&
                        comes_round(from[j], to[j]))
                        inner = 0
                if (!inner)
                    continue
                moves = multiplies = 0
                for (j = from[i]; j <= to[i]; j++) {
                    if (text[j] ~ /^v(fmadd|fnmadd|dpbf16|pdpbusd|pmaddwd|pmaddubsw)/)
                        multiplies++
                    if (text[j] ~ /^vmov[a-z0-9]* +%[yz]mm[0-9]+,.*\(%r[sb]p/)
                        moves++
                }
                loops += multiplies >= 4
                if (multiplies >= 4 && moves * 32 > multiplies && name !~ /^<(store_|depthwise_finish)/) {
                    printf "%s: %s: %d vector moves to or from the stack in a loop of %d multiplications\n",
                           object, name, moves, multiplies
                    found = 1
                }
            }
        }
        /^[0-9a-f]+ <.*>:$/ {
            close_function()
            name = $2
            count = jumps = 0
            delete at
            delete goes
            delete known
            next
        }
        /^ *[0-9a-f]+:/ {
            address = $1
            sub(":", "", address)
            at[address] = ++count
            line = $0
            sub(/^[^:]*:[ \t]*/, "", line)
            text[count] = line
            if (line ~ /^j/)
                goes[count] = $3
            # only targets that were seen already, so only backward jumps
            if (line ~ /^j/ && ($3 in at)) {
                from[++jumps] = at[$3]
                to[jumps] = count
            }
        }
        END {
            close_function()
            if (!loops) {
                printf "%s: no loop that multiplies was found\n", object
                found = 1
            }
            exit found
        }' || status=1
done
[ $status = 0 ] && echo "spills: none in the loops of $# objects"
exit $status

#!/bin/sh
# run.sh BINARY HOST PORT PHOTO [MODEL]: serves in the foreground; once it listens, prints three lines to paste.
set -eu
binary=$1 host=$2 port=$3 photo=$4 model=${5-}

hints() {
    while read -r line; do
        echo "$line"
        case $line in
        "listening on "*)
            url=${line#listening on }
            echo
            echo "the page: $url/          try, in another terminal:"
            echo "  curl --data-binary @$photo '$url/v1/classify'"
            echo "  curl --data-binary @$photo '$url/v1/mask?format=png&output=overlay' -o build/overlay.png"
            echo "  curl --data-binary @$photo '$url/v1/filter' -o build/filtered.png"
            echo
            ;;
        esac
    done
}

# The service is this process's own child, so that ctrl-C and SIGTERM drain it and its exit code is ours.
# Both ends are open before the pipe's name goes: a child that came to open it later found nothing, and nobody served.
fifo=$(mktemp -u)
mkfifo "$fifo"
exec 3<>"$fifo"
exec 4<"$fifo"
exec 5>"$fifo"
rm -f "$fifo"
hints <&4 3>&- 4<&- 5>&- &
"$binary" serve --listen "$host" --port "$port" ${model:+--model "$model"} --log-format text >&5 3>&- 4<&- 5>&- &
child=$!
exec 3>&- 4<&- 5>&-
trap 'kill -TERM "$child" 2>/dev/null' INT TERM
code=0
wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do # the wait was ended by a signal: the drain goes on
    code=0
    wait "$child" || code=$?
done
if [ "$code" -ne 0 ]; then
    echo "not served (the sentence above says why); another port: make run PORT=9090" >&2
fi
exit "$code"

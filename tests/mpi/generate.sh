#!/bin/sh
# A model over several processes: the same text as one process, drawn or not; one process alone prints.
#
# usage: run.sh 0 generate.sh HYPERC DIRECTORY
# HYPERC_DATA: as in story.sh
# shellcheck source-path=SCRIPTDIR source=story.sh
set -u
. "$(dirname "$0")/story.sh"

bad()
{
    echo "$*"
    sed 's/^/    /' output errors
    exit 1
}

# try CODE RANKS ARGUMENT...
try()
{
    expected=$1 ranks=$2
    shift 2
    timeout 120 mpirun -n "$ranks" "$hyperc" "$@" --threads 1 >output 2>errors </dev/null
    code=$?
    [ "$code" -eq "$expected" ] || bad "exit code $code, not $expected: $ranks ranks, $*"
}

# The text is what one process says: where the numbers differ by the order of sums alone, drawn tokens are the same too.
compare()
{
    "$hyperc" generate "$@" --threads 1 >alone 2>errors || bad "one process: $*"
    for ranks in 1 2 3; do
        for split in tensors layers; do
            try 0 $ranks generate "$@" --split $split
            cmp -s alone output || bad "another text: $ranks ranks, $split, $*"
            [ ! -s errors ] || bad "not silent: $ranks ranks, $*"
        done
    done
    echo "ok      $*"
}

"$hyperc" compress "$story" -o window --quiet >compressed &&
    "$hyperc" compress "$story" -o pair --method pair --quiet >>compressed || exit 1
for model in "$story" window pair; do
    compare "$model" -p "Once upon a time" -n 40 --quiet --temp 0
done
compare "$story" -p "Once upon a time" -n 30 --quiet --seed 7 --temp 1 --top-k 12
compare "$story" -p "Once upon a time" -n 30 --quiet --seed 7 --temp 1 --top-k 0 --repeat-penalty 1.2

# No seed given: all take that of the first.
try 0 2 generate "$story" -p "Once upon a time" -n 30
[ "$(grep -c "tokens/s; --seed" errors)" -eq 1 ] || bad "not one line of figures"
seed=$(sed -n 's/.*--seed \([0-9]*\).*/\1/p' errors)
cp output drawn
try 0 2 generate "$story" -p "Once upon a time" -n 30 --quiet --seed "$seed"
cmp -s drawn output || bad "another text with the seed that was told"
echo "ok      a drawn seed"

# Every rank reads all logits; the first prints.
try 0 2 perplexity "$story" -f drawn --ctx 16 --quiet
[ "$(grep -c perplexity output)" -eq 1 ] || bad "not one perplexity"
try 0 2 perplexity window -f drawn --ctx 16 --quiet --against "$story"
[ "$(grep -c "KL divergence" output)" -eq 1 ] || bad "not one KL divergence"
try 0 2 bench window -p 4 -n 4 -r 1
[ "$(grep -c "^rank" output)" -eq 2 ] || bad "not what two ranks hold"
echo "ok      perplexity, bench"

# Refused, by the first alone; and what ranks see must be the same.
try 1 2 chat "$story"
grep -q "does not work over several processes" errors || bad "chat is not refused"
try 1 2 generate "$story" -p a --devices cpu,cpu
grep -q "one device of each" errors || bad "several devices of several processes are not refused"

# both COMMAND0 COMMAND1: as ranks 0 and 1
both()
{
    cat >other.sh <<END
[ "\$OMPI_COMM_WORLD_RANK" -eq 0 ] && exec "$hyperc" $1 --quiet --threads 1
exec "$hyperc" $2 --quiet --threads 1
END
    timeout 120 mpirun -n 2 sh other.sh >output 2>errors </dev/null
}

# differ WHAT COMMAND0 COMMAND1: as ranks 0 and 1 they are refused, for not seeing the same WHAT.
differ()
{
    both "$2" "$3" && bad "run: $2, and $3"
    [ ! -s output ] || bad "it begins nevertheless: $2, and $3"
    grep -q "do not see the same: $1" errors || bad "not told: $2, and $3"
}

cp -r "$story" settings
cp -r "$story" weights
sed 's/"rms_norm_eps": *[^,}]*/"rms_norm_eps": 0.125/' "$story/config.json" >settings/config.json
cmp -s "$story/config.json" settings/config.json && bad "the configuration is as it was"
first=$(($(od -An -tu8 -N8 weights/model.safetensors) + 8))
printf x | dd of=weights/model.safetensors bs=1 seek="$first" conv=notrunc 2>errors || bad "no other weights"
text="-p a -n 4"
for other in window settings weights; do
    differ "the model" "generate $story $text" "generate $other $text"
done
cp -r "$story" copy
chmod -R u+w copy
"$hyperc" generate "$story" $text --temp 0 --quiet --threads 1 >alone 2>errors || bad "one process"
both "generate $story $text --temp 0" "generate copy $text --temp 0" || bad "a copy is refused"
cmp -s alone output || bad "another text: a copy"
sh "$here/alter.sh" copy/model.safetensors >output 2>errors || bad "no other bytes"
differ "the bytes of model.safetensors" "generate $story $text" "generate copy $text"
differ "the bytes of model.safetensors" "generate copy $text" "generate $story $text"
differ "the options of a sequence" "generate $story $text --ctx 32" "generate $story $text --ctx 64"
cp -r "$story" talker
chmod -R u+w talker
cat >talker/chat_template.jinja <<'END'
{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}
{% endfor %}{{ '<|im_start|>assistant\n' }}
END
answer="generate talker -p a -n 4 --temp 0"
"$hyperc" $answer --system Talk --quiet --threads 1 >alone 2>errors || bad "one process"
both "$answer --system Talk" "$answer --system Talk" || bad "an answer is refused"
cmp -s alone output || bad "another answer"
differ "the conversation" "$answer --system Talk" "$answer --system Listen"
try 1 2 generate "$story" -p a --system Talk
grep -q "the model has no chat template" errors || bad "a model without a template is not refused"
differ "how tokens are chosen" "generate $story $text --top-k 40" "generate $story $text --top-k 3"
echo "ok      refused"

# early WHY COMMAND0 COMMAND1: one of them ends early; so does the other, in good order, and says WHY.
early()
{
    printf '[ "$OMPI_COMM_WORLD_RANK" -eq 0 ] && exec %s\nexec %s\n' "$2" "$3" >other.sh
    timeout 60 mpirun -n 2 sh other.sh >output 2>errors </dev/null
    code=$?
    [ $code -ne 0 ] && [ $code -ne 124 ] || bad "exit code $code: $2, and $3"
    grep -q "$1" errors || bad "not told '$1': $2, and $3"
    ! grep -q MPI_ERR errors || bad "an error of MPI: $2, and $3"
}

write="$hyperc generate $story -p a -n 400 --temp 0 --quiet --threads 1"
early "rank 1: rank 0 failed: it could not go on" "$write >/dev/full" "$write"
"$hyperc" generate "$story" -p "Once upon a time" -n 400 --quiet --temp 0 --threads 1 >text || bad "no text"
for i in 1 2 3 4 5; do
    cat text text text text >longer && mv longer text
done
# A program that is asked to stop as soon as it listens to that: SIGINT is number 2 of those caught. So do shells.
cat >stopped.sh <<'END'
{
    while grep -q '^sh$' /proc/$$/comm; do sleep 0.05; done
    until grep -q '^SigCgt:.*[2367abef]$' /proc/$$/status; do sleep 0.05; done
    sleep 0.2
    kill -INT $$
} &
exec "$@"
END
read="$hyperc perplexity $story -f text --ctx 256 --quiet --threads 1"
for split in tensors layers; do
    early "rank 0 failed: interrupted" "sh stopped.sh $read --split $split" "$read --split $split"
    early "rank 1 failed: interrupted" "$read --split $split" "sh stopped.sh $read --split $split"
done
echo "ok      early ends"

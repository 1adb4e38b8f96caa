#!/usr/bin/env bash
# Checks the hashes of a run folder as docs/formats.md describes them, with nothing but bash, jq and
# sha256sum. A second, independent implementation: it shares no code with ybox.
#
#   tests/check-run-hash.sh RUN_DIR       one line per check; status 1 if any differs
#   tests/check-run-hash.sh --canonical   standard input, JSON, in the form of RFC 8785
set -euo pipefail
export LC_ALL=C

# RFC 8785 in jq. jq sorts keys by code points, the RFC by UTF-16 units: the same for the ASCII keys
# of a record. jq prints the shortest digits that give the number back, as the RFC wants, but its own
# exponents, and it escapes U+007F: both are mended here.
read -r -d '' canonical <<'JQ' || true
def zeros($n): [range($n) | "0"] | add // "";
def number:
  if . == 0 then "0"
  elif . < 0 then "-" + (-. | number)
  else
    (. + 0 | tostring
      | capture("^(?<whole>[0-9]+)([.](?<part>[0-9]+))?(e(?<sign>[+-])?0*(?<power>[0-9]+))?$")) as $p
    | ($p.power // "0" | tonumber | if $p.sign == "-" then -. else . end) as $e
    | ($p.whole + ($p.part // "")) as $all
    | ($all | sub("^0+"; "")) as $cut
    | ($cut | sub("0+$"; "")) as $d
    | ($d | length) as $k
    # The number is 0.d1d2...dk times 10 to the n.
    | (($p.whole | length) + $e - ($all | length) + ($cut | length)) as $n
    | if $k <= $n and $n <= 21 then $d + zeros($n - $k)
      elif 0 < $n and $n <= 21 then $d[:$n] + "." + $d[$n:]
      elif -6 < $n and $n <= 0 then "0." + zeros(-$n) + $d
      else
        $d[:1] + (if $k > 1 then "." + $d[1:] else "" end)
        + "e" + (if $n > 0 then "+" else "-" end) + ($n - 1 | if . < 0 then -. else . end | tostring)
      end
  end;
def text: "\"" + (split("\u007f") | map(tojson[1:-1]) | join("\u007f")) + "\"";
def canonical:
  if type == "object" then
    "{" + ([keys[] as $k | ($k | text) + ":" + (.[$k] | canonical)] | join(",")) + "}"
  elif type == "array" then "[" + (map(canonical) | join(",")) + "]"
  elif type == "number" then number
  elif type == "string" then text
  else tojson end;
JQ

if [[ ${1:-} == --canonical ]]; then
    exec jq -j "$canonical canonical"
fi
[[ $# == 1 && -f $1/run.json ]] || { echo "usage: $0 RUN_DIR, a folder with a run.json" >&2; exit 2; }
cd "$1"
record=run.json
bad=0

# SHA-256 of standard input, in hex.
sha() {
    local hex
    read -r hex _ < <(sha256sum)
    printf '%s' "$hex"
}

# SHA-256 of a domain, a line feed and standard input, in hex.
in_domain() {
    { printf '%s\n' "$1"; cat; } | sha
}

# The RFC 8785 form of what a jq filter takes out of the record.
part() {
    jq -j "$canonical $1 | canonical" "$record"
}

compare() {
    if [[ $2 == "$3" ]]; then
        printf 'ok   %s\n' "$1"
    else
        printf 'BAD  %s: expected %s, found %s\n' "$1" "$2" "$3"
        bad=1
    fi
}

recorded() {
    jq -r "$1 // \"nothing\"" "$record"
}

compare schema ybox.run/v1 "$(recorded .schema)"
compare record_hash "$(recorded .record_hash)" \
    "sha256:$(part 'del(.record_hash)' | in_domain ybox.record.v1)"
compare 'config hash' "$(recorded .inputs.config)" \
    "sha256:$(part .config | in_domain ybox.config.v1)"

# The Merkle root of the data manifest.
level=()
while IFS= read -r line; do
    level+=("$(printf '%s' "$line" | in_domain ybox.data.leaf.v1)")
done < data.manifest
[[ ${#level[@]} -gt 0 ]] || level=("$(printf '' | in_domain ybox.data.leaf.v1)")
while [[ ${#level[@]} -gt 1 ]]; do
    next=()
    for ((i = 0; i < ${#level[@]}; i += 2)); do
        if ((i + 1 < ${#level[@]})); then
            next+=("$(printf '%s %s' "${level[i]}" "${level[i + 1]}" | in_domain ybox.data.node.v1)")
        else
            next+=("${level[i]}")
        fi
    done
    level=("${next[@]}")
done
compare data.manifest "$(recorded .inputs.data)" "sha256:${level[0]}"

# The files.
while IFS= read -r -d '' path && IFS= read -r -d '' expected; do
    found=missing
    [[ -f $path ]] && found="sha256:$(sha < "$path")"
    compare "$path" "$expected" "$found"
done < <(jq -j '.outputs.artifacts[], .files[] | .path, "\u0000", .sha256, "\u0000"' "$record")

# The metric chain.
if [[ $(recorded .outputs.steps) != nothing ]]; then
    head=$(printf '' | in_domain ybox.steps.v1)
    count=0
    while read -r step loss norm digest; do
        count=$((count + 1))
        head=$(printf '%s %s %s %s' "$head" "$step" "$loss" "$norm" | sha)
        [[ $step == "$count" && $head == "$digest" ]] || { compare "step $count" "$head" "$digest"; break; }
    done < steps.chain
    compare 'steps: head' "$(recorded .outputs.steps.head)" "sha256:$head"
    compare 'steps: count' "$(recorded .outputs.steps.count)" "$count"
fi

# The event log: each line carries the digest of the line before.
head=$(printf '' | sha)
count=0
while IFS= read -r line; do
    carried=$(jq -r '"\(.seq) \(.prev)"' <<< "$line" 2> /dev/null || echo unreadable)
    [[ $carried == "$count sha256:$head" ]] || { compare "event $((count + 1))" "$count sha256:$head" "$carried"; break; }
    count=$((count + 1))
    head=$(printf '%s' "$line" | sha)
done < events.jsonl
compare 'events: head' "$(recorded .events.head)" "sha256:$head"
compare 'events: count' "$(recorded .events.count)" "$count"

input=sha256:$(part .inputs | in_domain ybox.input.v1)
result=sha256:$(part .outputs | in_domain ybox.result.v1)
run=sha256:$(printf '{"input":"%s","result":"%s"}' "$input" "$result" | in_domain ybox.run.v1)
compare input_hash "$(recorded .input_hash)" "$input"
compare result_hash "$(recorded .result_hash)" "$result"
compare run_hash "$(recorded .run_hash)" "$run"
printf '%s\n' "$run"
exit $bad

#!/usr/bin/env bash
# Twenty rows of one's own become a tuned, measured model that answers at an address: docs/first-model.md tells each step.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

sdx=.venv/bin/sdx
here=finetune/recipes/first-model
work=${1:-runs}
grade=sdx_domains.ship.watch_report
[ -x "$sdx" ] || { echo "error: $sdx is missing: run \`make test\` once, it sets everything up" >&2; exit 1; }
mkdir -p "$work"

echo "1/6 your rows"
"$sdx" data check "$here/own.jsonl"
echo "2/6 more rows, each checked"
"$sdx" finetune augment finetune/recipes/augment/watch-report.yaml --work "$work/watch-rows"
echo "3/6 a data set, a part of it kept for the examination"
"$sdx" data import watch "$here/own.jsonl" "$work/watch-rows/rows.jsonl" --licence CC0-1.0
"$sdx" data split watch --eval 0.15
echo "4/6 a recipe, tried before it runs"
"$sdx" finetune init watch --scorer $grade:grade --schema $grade:schema_of > "$work/watch.yaml"
"$sdx" finetune check "$work/watch.yaml"
echo "5/6 training, export, proof, examination"
"$sdx" finetune run "$work/watch.yaml" --work "$work/watch"
echo "6/6 it answers"
model=$work/watch/gguf/watch-Q8_0.gguf
"$sdx" serve "$model" --port 0 > "$work/serve.log" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
until grep -q "answers at" "$work/serve.log"; do kill -0 $server && sleep 0.2; done
address=$(sed -n 's/.*answers at \(http[^,]*\),.*/\1/p' "$work/serve.log")
.venv/bin/python - "$address" "$here/own.jsonl" <<'PYTHON'
import json, sys
import httpx

*asked, wanted = json.loads(open(sys.argv[2], encoding="utf-8").readline())["messages"]
answer = httpx.post(f"{sys.argv[1]}/chat/completions", json={"messages": asked, "max_tokens": 200}, timeout=60).json()
print(f"asked:    {asked[-1]['content']}\nanswered: {answer['choices'][0]['message']['content']}\nyours:    {wanted['content']}")
PYTHON
echo "report: $work/watch/report.html; serve it: $sdx serve $model"

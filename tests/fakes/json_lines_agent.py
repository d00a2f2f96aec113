"""An agent as a program that speaks JSON lines, in the manner that its first argument names. It needs no library."""

import json
import os
import subprocess
import sys
import time

mode = sys.argv[1]
if mode == "noisy":
    sys.stderr.write("x" * 5_000_000)
if mode in {"child", "timeout", "cancelled"}:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(sys.argv[2], "w") as file:  # noqa: PTH123
        file.write(str(child.pid))
    sys.stderr.flush()


def say(text: object, **more: object) -> None:
    message = {"role": "assistant", "content": text, "tool_calls": None, "tool_call_id": None, "name": None}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    print(json.dumps({"messages": [message], "usage": usage, **more}), flush=True)


for line in sys.stdin:
    request = json.loads(line)
    said = [item["content"] for item in request["messages"] if item["role"] == "user"]
    if mode == "exits":
        print("out of memory, token s3cr3t-4711", file=sys.stderr, flush=True)
        os._exit(7)
    elif mode in {"timeout", "cancelled"}:
        time.sleep(600)
    elif mode == "contract":
        print(json.dumps({"messages": [{"role": "user"}]}), flush=True)
    elif mode == "not json":
        print("Traceback (most recent call last):", flush=True)
    elif mode == "http 500":
        print(json.dumps({"error": {"message": "boom: the kitchen is on fire"}}), flush=True)
    elif mode == "empty":
        say("")
    elif mode == "no line":
        sys.stdout.write('{"messages": ')
        sys.stdout.flush()
        sys.exit(0)
    elif mode == "endless":
        while True:
            sys.stdout.write("a" * 65536)
    elif mode == "50 MB":
        say("a" * 50_000_000)
    elif mode == "environment":
        say(json.dumps({"env": dict(os.environ), "cwd": os.getcwd()}))  # noqa: PTH109
    else:
        turn = request["metadata"]["turn_index"]
        say(f"{turn}: {said[-1]}", metadata={"ended": said[-1] == "bye"})

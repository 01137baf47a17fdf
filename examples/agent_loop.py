"""An agent: it thinks, uses a flaky tool, asks a person, and can be looked into.

The model and the tool are fakes that fail as the real ones do. Every thought and
every use of the tool is a task: recorded once, tried again when it fails, and never
repeated after a crash; so the loop may run for days. What the agent knows is read by a
query at any time, also when it has ended.

Run it: python -m examples.agent_loop
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from everact.runtime import Runtime, context, receive, retry, task, workflow

FACTS = {
    "weather in Oslo": "4 °C, sleet",
    "weather in Lisbon": "19 °C, sunny",
}
STUBBORN = retry(first="20ms", growth=1.5, attempts=5)


@task(retry=STUBBORN, timeout="30s")
async def think(goal: str, facts: dict[str, str]) -> tuple[str, str]:
    """The model: what to do next, as (action, detail)."""
    for topic in FACTS:
        if topic not in facts:
            return "look up", topic
    if "budget" not in facts:
        return "ask", "May the trip cost more than 300 euros?"
    warm = max(facts, key=lambda topic: "sunny" in facts[topic])
    return "finish", f"{goal}: {warm.removeprefix('weather in ')} ({facts['budget']})"


@task(retry=STUBBORN, timeout="30s")
async def look_up(topic: str) -> str:
    """The tool: its first two attempts fail, as tools do."""
    attempt = context().attempt_number
    if attempt < 3:
        print(f"  look up {topic!r}, attempt {attempt}: connection lost")
        raise ConnectionError("connection lost")
    print(f"  look up {topic!r}, attempt {attempt}: {FACTS[topic]}")
    return FACTS[topic]


@workflow
class Agent:
    """Think, act, remember, until the model says that it is done."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}
        self.doing = "starting"

    @workflow.run
    async def run(self, goal: str) -> str:
        """The loop; at most ten rounds, models do lose the thread."""
        for _ in range(10):
            action, detail = await think(goal, self.facts)
            self.doing = f"{action}: {detail}"
            match action:
                case "look up":
                    self.facts[detail] = await look_up(detail)
                case "ask":
                    self.facts["budget"] = await receive("answer", timeout="7d")
                case _:
                    return detail
        return "gave up"

    @workflow.query
    def state(self) -> dict[str, Any]:
        """What the agent knows, and what it is doing."""
        return {"doing": self.doing, "facts": dict(self.facts)}


async def main() -> None:
    """Give the agent a goal, wait for its question, answer, print what it found."""
    with tempfile.TemporaryDirectory() as folder:
        async with Runtime(Path(folder) / "agent.db") as runtime:
            handle = await runtime.start(Agent.run, "a warm weekend", id="agent")
            doing = ""
            async for _ in handle.follow_history():  # look in after every step
                doing = (await handle.query(Agent.state))["doing"]
                if doing.startswith("ask"):
                    break
            print("the agent is at", doing)
            await handle.signal("answer", "yes, but not much")
            print(await handle.result())
            history = await handle.history()
            tasks = sum(item.kind == "TaskCompleted" for item in history)
            facts = (await handle.query(Agent.state))["facts"]
            print(f"{tasks} tasks recorded, {len(facts)} facts known")


if __name__ == "__main__":
    asyncio.run(main())

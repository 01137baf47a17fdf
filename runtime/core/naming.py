"""Names for runs that nobody named: readable, the same whenever they are asked for.

A name is for people. Two runs may share one, and nothing is ever looked up by it.
"""

from zlib import crc32

_QUALITIES = (
    "able amber ample bold brave brisk bright calm candid clear clever cosy crisp "
    "daring deft eager early earnest fair famous fancy fleet fond frank free fresh "
    "gentle glad golden grand happy hardy humble jolly keen kind lively loyal lucky "
    "mellow merry mild modest neat nimble noble patient plain polite proud quick "
    "quiet rapid ready rosy sharp silent smart snug steady sunny swift tidy warm wise"
)
_CREATURES = (
    "adder alpaca badger bat bear beaver bison bittern crane cricket curlew deer "
    "dipper dolphin dove eagle egret falcon ferret finch fox gecko goose grouse hare "
    "hawk heron hornet ibex ibis jackdaw kestrel kite lark lemur linnet lizard lynx "
    "magpie marten mole moth newt otter owl petrel pike plover puffin raven robin "
    "salmon seal shrew stoat stork swan swift tapir tern thrush toad trout weasel "
    "wren"
)


def generated_name(run_id: str) -> str:
    """Two words that stand for a run, derived from its ID."""
    number = crc32(run_id.encode())
    qualities, creatures = _QUALITIES.split(), _CREATURES.split()
    creature, number = number % len(creatures), number // len(creatures)
    return f"{qualities[number % len(qualities)]}-{creatures[creature]}"

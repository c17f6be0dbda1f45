"""Requests for `tools/files.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools.files import ENDINGS, FOLDERS, LINES, STEMS

PATHS = [f"{folder}/{stem}{number}.txt" for folder in FOLDERS for stem in STEMS for number in range(31, 60)]
TEXTS = [f"{one} and {two}" for one in LINES for two in LINES if one != two]


@scenario(
    phrasings=(
        "Which files are in {folder}?",
        "List the files in the folder {folder}.",
        "What is in the folder {folder}?",
        "Show me all files of {folder}.",
        "I want to see the files of the folder {folder}.",
        "Give me the contents of {folder}.",
        "Have a look into {folder} and list the files.",
        "Are there any files in {folder}?",
    ),
    unseen=("Please list what lies in {folder}.", "Tell me the names of the files in {folder}."),
    ask=Ask(
        "folder",
        "folder",
        phrasings=(
            "Which files are in that folder?",
            "List the files of a folder.",
            "Show me the files of a folder.",
            "What is in the folder?",
            "Have a look into my folder.",
        ),
        unseen=("Please list what lies in the folder.",),
    ),
)
def folder(draw: Draw) -> Plan:
    chosen = draw.any(FOLDERS)
    yield {"folder": chosen}
    yield call("list_files", folder=chosen)


@scenario(
    phrasings=(
        "Which {ending} files are there?",
        "Find all files that end in {ending}.",
        "List my {ending} files from every folder.",
        "Search all folders for {ending} files.",
        "Where do I have {ending} files?",
        "Give me every file ending in {ending}.",
        "I need a list of my {ending} files.",
    ),
    unseen=("Show the files with the ending {ending}, whatever the folder.",),
)
def by_ending(draw: Draw) -> Plan:
    ending = draw.any(ENDINGS)
    yield {"ending": ending}
    yield call("list_files_by_ending", ending=ending)


@scenario(
    phrasings=(
        "Read the file {path}.",
        "What does {path} say?",
        "Show me the text of {path}.",
        "Open {path}, please.",
        "What is written in the file {path}?",
        "Could you open {path} for me?",
        "I want to read {path}.",
        "Give me the contents of {path}.",
        "Read {path} to me.",
        "Print the file {path}.",
    ),
    unseen=("Tell me what the file {path} says.", "Please open {path} and show me the text."),
    ask=Ask(
        "path",
        "path",
        phrasings=(
            "Read the file.",
            "Open my file, please.",
            "What does the file say?",
            "I want to read something from my files.",
            "Show me the text of the file.",
            "Print the file.",
        ),
        unseen=("Please open a file and show me the text.",),
    ),
)
def read(draw: Draw) -> Plan:
    path = draw.one(list(draw.world("files").files))
    yield {"path": path}
    yield call("read_file", path=path)


@scenario(
    phrasings=(
        "How large is the file {path}?",
        "How many words does {path} have?",
        "What is the size of {path}?",
        "Count the characters of {path}.",
        "Is {path} a long file? Tell me its size.",
        "How big is {path}?",
        "Give me the size of {path} in characters and words.",
        "How long is the text in {path}?",
    ),
    unseen=("Tell me the size of the file {path}.", "How many characters are in {path}?"),
)
def size(draw: Draw) -> Plan:
    path = draw.one(list(draw.world("files").files))
    yield {"path": path}
    yield call("read_file_size", path=path)


@scenario(
    phrasings=(
        'Write "{text}" into {path}.',
        'Create the file {path} with the text "{text}".',
        'Save "{text}" as {path}.',
        'Make a file {path}. It should contain "{text}".',
        'Put "{text}" into a new file {path}.',
        'I need a file {path} with "{text}" in it.',
        'Store the text "{text}" under {path}.',
    ),
    unseen=('Please write a file {path} that says "{text}".',),
    ask=Ask(
        "path",
        "path",
        phrasings=(
            'Write "{text}" into a file.',
            'Save "{text}" for me.',
            'Put "{text}" into a new file.',
            'Store the text "{text}".',
            'I need a file with "{text}" in it.',
        ),
        unseen=('Please write a file that says "{text}".',),
    ),
)
def write(draw: Draw) -> Plan:
    path, text = draw.one(PATHS), draw.one(TEXTS)
    yield {"path": path, "text": text}
    yield call("write_file", path=path, text=text)


@scenario(
    phrasings=(
        'Add "{text}" to the file {path}.',
        'Append "{text}" to {path}.',
        'Extend {path} with "{text}".',
        'Write "{text}" below what is in {path}.',
        '{path} needs another line: "{text}".',
        'Attach "{text}" to the file {path}.',
    ),
    unseen=('Put "{text}" at the end of {path}.',),
)
def append(draw: Draw) -> Plan:
    path, text = draw.one(list(draw.world("files").files)), draw.one(TEXTS)
    yield {"path": path, "text": text}
    yield call("write_file", path=path, text=text, append=True)


@scenario(
    phrasings=(
        "Move {path} to {target}.",
        "Rename {path} to {target}.",
        "The file {path} should be {target}. Move it.",
        "Put {path} to {target} instead.",
        "Call the file {path} {target} from now on.",
        "Change {path} into {target}.",
        "I want {path} to be at {target}.",
    ),
    unseen=("Please move the file {path}, the new path is {target}.",),
    ask=Ask(
        "target",
        "target",
        phrasings=(
            "Move the file {path}.",
            "Rename {path}.",
            "Call the file {path} something else.",
            "Put {path} into another place.",
            "The file {path} should be somewhere else. Move it.",
        ),
        unseen=("Please move {path} for me.",),
    ),
)
def move(draw: Draw) -> Plan:
    path, target = draw.one(list(draw.world("files").files)), draw.one(PATHS)
    yield {"path": path, "target": target}
    yield call("move_file", path=path, target=target)


@scenario(
    phrasings=(
        "Delete {path}.",
        "Remove the file {path}.",
        "I do not need {path} any more. Please delete it.",
        "Erase {path}.",
        "Get rid of the file {path}.",
        "{path} can go. Delete it.",
        "Could you remove {path}?",
    ),
    unseen=("Please delete the file {path}.", "Throw away {path}."),
)
def delete(draw: Draw) -> Plan:
    path = draw.one(list(draw.world("files").files))
    yield {"path": path}
    yield call("delete_file", path=path)


@scenario(
    phrasings=(
        "Read {path}, then delete it.",
        "Show me the text of {path} and remove the file afterwards.",
        "What does {path} say? Delete it when you have read it.",
        "Open {path} for me and erase it after that.",
        "I want to read {path} one last time, then it should be deleted.",
        "Print {path}, afterwards get rid of it.",
    ),
    unseen=("Open {path}, tell me what it says and then delete it.",),
)
def read_and_delete(draw: Draw) -> Plan:
    path = draw.one(list(draw.world("files").files))
    yield {"path": path}
    text = yield call("read_file", path=path)
    yield call("delete_file", path=path)
    return text


@scenario(
    phrasings=(
        "List the files in {folder} and read the first one.",
        "Look into the folder {folder} and show me the text of the first file.",
        "Which files are in {folder}? Open the first of them.",
        "Show me the first file of {folder}, you have to list the folder before.",
        "Take the first file in {folder} and read it to me.",
    ),
    unseen=("What does the first file in {folder} say? List the folder and read it.",),
)
def read_first(draw: Draw) -> Plan:
    chosen = draw.any(FOLDERS)
    yield {"folder": chosen}
    names = yield call("list_files", folder=chosen)
    if not names:
        return None
    yield call("read_file", path=f"{chosen}/{names[0]}")

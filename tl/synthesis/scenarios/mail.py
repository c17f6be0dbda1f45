"""Requests for `tools/mail.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools._vocabulary import FIRST_NAMES
from tools.mail import FOLDERS, SUBJECTS

ADDRESSES = [f"{name.lower()}@{host}.example" for name in FIRST_NAMES for host in ("mail", "work", "home")]
HEADINGS = [f"{subject} {number}" for subject in SUBJECTS for number in range(10, 100)]
SENTENCES = [
    f"The {subject} is {state}." for subject in SUBJECTS for state in ("late", "here", "lost", "signed", "paid")
]


@scenario(
    phrasings=(
        "Read mail {id}.",
        "What does mail {id} say?",
        "Open the mail {id}, please.",
        "What is written in {id}?",
        "Show me mail {id}.",
        "I want to read mail {id}.",
        "What did they write in {id}?",
        "Give me the text of mail {id}.",
        "Could you open {id} for me?",
        "Read {id} to me.",
    ),
    unseen=("Please read out the mail {id}.", "Tell me what is in mail {id}."),
    ask=Ask(
        "id",
        "mail_id",
        phrasings=(
            "Read my mail.",
            "Open the mail, please.",
            "What does the mail say?",
            "Show me the mail.",
            "I want to read a mail.",
            "What is written in that mail?",
        ),
        unseen=("Please read out the mail.",),
    ),
)
def read(draw: Draw) -> Plan:
    mail_id = draw.one(list(draw.world("mail").mails))
    yield {"id": mail_id}
    yield call("read_mail", mail_id=mail_id)


@scenario(
    phrasings=(
        "Which mails are in the folder {folder}?",
        "List the mails in {folder}.",
        "Show me my {folder}.",
        "What mails do I have in the {folder} folder?",
        "What is in {folder}? Show the mails.",
        "Open the folder {folder}.",
        "Have a look at my {folder} folder.",
        "Are there mails in {folder}?",
    ),
    unseen=("Please list my {folder} mails.", "Look which mails lie in {folder}."),
)
def folder(draw: Draw) -> Plan:
    chosen = draw.any(FOLDERS)
    yield {"folder": chosen}
    yield call("list_mails", folder=chosen)


@scenario(
    phrasings=(
        "List all mails in {folder}, page by page.",
        "Give me every mail of the folder {folder}, all pages.",
        "I need the complete list of the mails in {folder}.",
        "Show all mails of {folder}, do not stop after one page.",
        "Go through all pages of {folder} and list the mails.",
        "I want to see every single mail in {folder}.",
    ),
    unseen=("Show all pages of my {folder} mails.",),
)
def whole_folder(draw: Draw) -> Plan:
    chosen = draw.any(FOLDERS)
    yield {"folder": chosen}
    page = yield call("list_mails", folder=chosen)
    found = page["mails"]
    while page["next_cursor"]:
        page = yield call("list_mails", folder=chosen, cursor=page["next_cursor"])
        found += page["mails"]
    return {"mails": found}


@scenario(
    phrasings=(
        "Find the mail about {subject}.",
        "Search my mails for {subject}.",
        "Who wrote to me about {subject}?",
        "Is there a mail on {subject}?",
        "Which mail mentions {subject}?",
        "I got a mail about {subject}, find it.",
        "Look up mails concerning {subject}.",
        "Did anybody mail me about {subject}?",
    ),
    unseen=("Look for the mail on {subject}.", "Please search the mails about {subject}."),
)
def search(draw: Draw) -> Plan:
    subject = draw.one(_subjects(draw))
    yield {"subject": subject}
    yield call("search_mails", text=subject)


@scenario(
    phrasings=(
        "Search only the unread mails for {subject}.",
        "Is there an unread mail about {subject}?",
        "Find unread mails on {subject}.",
        "What unread mails are there about {subject}?",
        "I have not read the mail about {subject} yet. Find it among the unread ones.",
        "Look up {subject}, but only in unread mails.",
        "Any unread mail concerning {subject}?",
    ),
    unseen=("Look for unread mails about {subject}.",),
)
def search_unread(draw: Draw) -> Plan:
    subject = draw.one(_subjects(draw))
    yield {"subject": subject}
    yield call("search_mails", text=subject, unread_only=True)


@scenario(
    phrasings=(
        'Send a mail to {address} with the subject "{subject}".',
        'Write to {address}, subject "{subject}".',
        'Mail {address}. The subject is "{subject}".',
        'I have to send {address} a mail with the subject "{subject}".',
        'Compose a mail to {address}, the subject should be "{subject}".',
        '{address} should get a mail with "{subject}" in the subject line.',
        'Send "{subject}" as a mail to {address}.',
        'Drop {address} a mail, with the subject "{subject}".',
    ),
    unseen=(
        'Please send {address} a mail, subject "{subject}".',
        'A mail to {address} with "{subject}" as subject, please.',
    ),
    ask=Ask(
        "address",
        "to",
        phrasings=(
            'Send a mail with the subject "{subject}".',
            'Write a mail, subject "{subject}".',
            'Compose a mail with "{subject}" as subject.',
            'Send "{subject}" as a mail.',
            'I have to send a mail with the subject "{subject}".',
        ),
        unseen=('Please send a mail, subject "{subject}".',),
    ),
)
def send(draw: Draw) -> Plan:
    address, subject = draw.one(ADDRESSES), draw.one(HEADINGS)
    yield {"address": address, "subject": subject}
    yield call("send_mail", to=[address], subject=subject)


@scenario(
    phrasings=(
        'Send {one} and {two} a mail with the subject "{subject}" and the text "{body}"',
        'Write to {one} and {two}, subject "{subject}", text "{body}"',
        'Mail {one} and {two} with the subject "{subject}". The text is "{body}"',
        '{one} and {two} should both get a mail, subject "{subject}", which says "{body}"',
        'Send one mail to {one} and {two}. Subject: "{subject}". Text: "{body}"',
    ),
    unseen=('A mail to {one} and {two}, please: the subject is "{subject}" and the text "{body}"',),
)
def send_to_two(draw: Draw) -> Plan:
    addresses, subject, body = draw.some(ADDRESSES, 2), draw.one(HEADINGS), draw.one(SENTENCES)
    yield {"one": addresses[0], "two": addresses[1], "subject": subject, "body": body}
    yield call("send_mail", to=addresses, subject=subject, body=body)


@scenario(
    phrasings=(
        'Answer mail {id} with "{body}"',
        'Reply "{body}" to mail {id}.',
        'Reply to {id}: "{body}"',
        'Write back to {id}: "{body}"',
        'I want to answer {id}. Say "{body}"',
        'Tell the sender of mail {id} "{body}"',
        'Respond to mail {id} with the words "{body}"',
    ),
    unseen=('Send a reply to mail {id} that says "{body}"',),
)
def reply(draw: Draw) -> Plan:
    mail_id, body = draw.one(list(draw.world("mail").mails)), draw.one(SENTENCES)
    yield {"id": mail_id, "body": body}
    yield call("send_mail_reply", mail_id=mail_id, body=body)


@scenario(
    phrasings=(
        "Move mail {id} to {folder}.",
        "Put {id} into the folder {folder}.",
        "Mail {id} belongs to {folder}.",
        "{id} should be in {folder}. Move it.",
        "Store mail {id} under {folder}.",
        "Take mail {id} and put it into {folder}.",
        "Sort {id} into the {folder} folder.",
    ),
    unseen=("Please move {id} into my {folder}.",),
    ask=Ask(
        "folder",
        "folder",
        phrasings=(
            "Move mail {id} to another folder.",
            "Put {id} away.",
            "Store mail {id} somewhere else.",
            "Take mail {id} and put it into a folder.",
            "Sort {id} into one of my folders.",
        ),
        unseen=("Please move the mail {id}.",),
    ),
)
def file(draw: Draw) -> Plan:
    mail_id, chosen = draw.one(list(draw.world("mail").mails)), draw.any(FOLDERS)
    yield {"id": mail_id, "folder": chosen}
    yield call("move_mail", mail_id=mail_id, folder=chosen)


@scenario(
    phrasings=(
        "Find the mail about {subject} and read it to me.",
        "Search for {subject} in my mails and open what you find.",
        "What does the mail about {subject} say? Search for it.",
        "Somebody wrote about {subject}. Find the mail and open it.",
        "I want to read the mail on {subject}, search it first.",
        "Look up the mail concerning {subject} and show me its text.",
    ),
    unseen=("Look for the mail on {subject}, then read it.",),
)
def search_and_read(draw: Draw) -> Plan:
    subject = draw.one(_subjects(draw))
    yield {"subject": subject}
    found = yield call("search_mails", text=subject)
    yield call("read_mail", mail_id=found[0]["mail_id"])


@scenario(
    phrasings=(
        "Find the mail about {subject} and move it to {folder}.",
        "Search for {subject} and put the mail into the folder {folder}.",
        "The mail about {subject} belongs into {folder}. Find and move it.",
        "Look up the mail concerning {subject} and store it in {folder}.",
        "Find the mail on {subject}; then sort it into {folder}.",
    ),
    unseen=("Look for the mail on {subject} and move it into {folder}.",),
)
def search_and_file(draw: Draw) -> Plan:
    subject, chosen = draw.one(_subjects(draw)), draw.any(FOLDERS)
    yield {"subject": subject, "folder": chosen}
    found = yield call("search_mails", text=subject)
    yield call("move_mail", mail_id=found[0]["mail_id"], folder=chosen)


def _subjects(draw: Draw) -> list[str]:
    return [mail["subject"] for mail in draw.world("mail").mails.values()]

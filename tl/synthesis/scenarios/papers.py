"""Requests for `tools/papers.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools.papers import METHODS, TOPICS


@scenario(
    phrasings=(
        "What is the title of paper {paper}?",
        "What is {paper} called?",
        "Give me the title and the year of {paper}.",
        "When was paper {paper} published?",
        "Look up paper {paper}.",
        "I have a paper with the id {paper}. What is its title?",
        "Which paper is {paper}?",
        "I need title and year of {paper}.",
        "Could you look up {paper}?",
        "What is paper {paper}, and from which year?",
        "In which year did {paper} come out?",
        "Show me the title of {paper}.",
        "Find out what {paper} is called.",
        "How old is the paper {paper}?",
    ),
    unseen=("Tell me title and year of the paper {paper}.", "Please look up what paper {paper} is called."),
    ask=Ask(
        "paper",
        "paper_id",
        phrasings=(
            "What is the title of my paper?",
            "When was that paper published?",
            "Look up the paper for me.",
            "Which year is my paper from?",
            "I need the title of the paper.",
            "Could you look up a paper by its id?",
            "What is it called, the paper I told you about?",
            "How old is that paper?",
            "Find out what the paper is called.",
        ),
        unseen=("Tell me title and year of the paper.",),
    ),
)
def title(draw: Draw) -> Plan:
    paper_id = draw.one(list(draw.world("papers").papers))
    yield {"paper": paper_id}
    yield call("get_paper", paper_id=paper_id)


@scenario(
    phrasings=(
        "Who wrote paper {paper}?",
        "Who are the authors of {paper}?",
        "Name the authors of paper {paper}.",
        "I want to know who wrote {paper}.",
        "Give me the details of {paper}, above all its authors.",
        "By whom was {paper} written?",
        "Who is behind the paper {paper}?",
        "I need the names of the authors of {paper}.",
        "List the authors of {paper}.",
        "Can you find out who wrote {paper}?",
        "Show me the details of paper {paper}.",
        "Who worked on {paper}?",
        "Authors of {paper}, please.",
    ),
    unseen=("Which authors wrote the paper {paper}?", "Tell me who the authors of {paper} are."),
)
def authors(draw: Draw) -> Plan:
    paper_id = draw.one(list(draw.world("papers").papers))
    yield {"paper": paper_id}
    yield call("get_paper_details", paper_id=paper_id)


@scenario(
    phrasings=(
        "How many citations does paper {paper} have?",
        "Where did {paper} appear, and how often was it cited?",
        "Give me venue and number of citations of {paper}.",
        "At which venue was {paper} published, and how many citations has it got?",
        "How often has {paper} been cited?",
        "Where was paper {paper} published?",
        "Tell me the number of citations of {paper}.",
        "What venue did {paper} appear at?",
        "Count the citations that {paper} has.",
        "Give me the citation count and the venue for {paper}.",
        "I want to know where {paper} appeared.",
        "Is {paper} cited a lot? How often?",
    ),
    unseen=("In which venue is paper {paper}, and what is its number of citations?",),
)
def venue(draw: Draw) -> Plan:
    paper_id = draw.one(list(draw.world("papers").papers))
    yield {"paper": paper_id}
    yield call("get_paper_details", paper_id=paper_id)


@scenario(
    phrasings=(
        "Find papers about {word}.",
        "Which papers deal with {word}?",
        "Search for papers with the keyword {word}.",
        "I am looking for papers on {word}.",
        "Are there papers whose title mentions {word}?",
        "Give me papers on {word}.",
        "I want to read about {word}. Which papers are there?",
        "Look for papers that mention {word}.",
        "Could you find some papers about {word}?",
        "What has been written about {word}?",
        "Search the titles for {word}.",
        "Show me research on {word}.",
        "Papers about {word}, please.",
        "Which papers have {word} in their title?",
    ),
    unseen=("Please search papers on {word}.", "Do you know papers with {word} in the title?"),
    ask=Ask(
        "word",
        "keywords",
        phrasings=(
            "Find papers for my project.",
            "I am looking for papers.",
            "Search for papers.",
            "Give me some papers.",
            "I want to read something. Which papers are there?",
            "Could you find papers for my thesis?",
            "Show me research on my subject.",
            "Which papers deal with it?",
            "Search the titles for me.",
            "Papers, please.",
        ),
        unseen=("Please search papers for me.",),
    ),
)
def by_keyword(draw: Draw) -> Plan:
    word = draw.one(_words(draw))
    yield {"word": word}
    yield call("get_papers_by_keywords", keywords=[word])


@scenario(
    phrasings=(
        "Find papers about {one} or {two}.",
        "Search for papers with the keywords {one} and {two}.",
        "Which papers deal with {one} or with {two}?",
        "Give me papers on {one} and on {two}.",
        "I need papers about {one} and {two}.",
        "Look for {one} and {two} in the titles of papers.",
        "Show me what there is on {one} or {two}.",
        "My keywords are {one} and {two}. Find papers.",
        "Papers about {one} or {two}, please.",
        "Which papers have {one} or {two} in their title?",
    ),
    unseen=("I am looking for papers on {one} and {two}.", "Papers that mention {one} or {two}, please."),
)
def by_two_keywords(draw: Draw) -> Plan:
    words = draw.some(_words(draw), 2)
    yield {"one": words[0], "two": words[1]}
    yield call("get_papers_by_keywords", keywords=words)


@scenario(
    phrasings=(
        "Find at most {limit} papers about {word}.",
        "Give me up to {limit} papers on {word}.",
        "Search for papers with the keyword {word}, no more than {limit}.",
        "Show me the first {limit} papers about {word}.",
        "I need {limit} papers on {word}, not more.",
        "Look for papers about {word}, but give me only {limit}.",
        "Search {word} and return {limit} papers at most.",
        "{limit} papers on {word} are enough. Find them.",
        "Papers on {word}, please, with a limit of {limit}.",
        "Which papers mention {word}? Stop after {limit}.",
    ),
    unseen=("I want at most {limit} papers that deal with {word}.",),
)
def by_keyword_limited(draw: Draw) -> Plan:
    word, limit = draw.one(_words(draw)), draw.any((1, 2, 4, 5))
    yield {"word": word, "limit": limit}
    yield call("get_papers_by_keywords", keywords=[word], limit=limit)


@scenario(
    phrasings=(
        "Which papers did {author} write?",
        "Find the papers of {author}.",
        "List papers by {author}.",
        "What has {author} published?",
        "I want to read something by {author}. Which papers are there?",
        "Give me everything by {author}.",
        "Are there papers by {author}?",
        "What did {author} write?",
        "Look up the papers of {author}.",
        "I am looking for work by {author}.",
        "Show {author}'s papers.",
        "Which papers has {author} published?",
        "Papers written by {author}, please.",
    ),
    unseen=("Show me the papers that {author} wrote.", "Search for papers by the author {author}."),
    ask=Ask(
        "author",
        "author",
        phrasings=(
            "Find the papers of my favourite author.",
            "Which papers did my colleague write?",
            "List the papers of an author.",
            "I want to read something by a friend of mine. Which papers are there?",
            "What did my professor write?",
            "Look up the papers by that author.",
            "Are there papers by my boss?",
            "Which papers has she published?",
        ),
        unseen=("Show me the papers that my teacher wrote.",),
    ),
)
def by_author(draw: Draw) -> Plan:
    author = draw.one(_authors(draw))
    yield {"author": author}
    yield call("get_papers_by_author", author=author)


@scenario(
    phrasings=(
        "Which papers did {author} write since {year}?",
        "Find the papers of {author} from {year} on.",
        "What has {author} published since {year}?",
        "Give me papers by {author}, not older than {year}.",
        "List what {author} published from {year} onwards.",
        "I need the papers of {author} after {year}, that year included.",
        "Look up what {author} has written since {year}.",
        "Starting in {year}, which papers are by {author}?",
        "Papers by {author} since {year}, please.",
        "Are there papers by {author} from {year} or later?",
    ),
    unseen=("Show me what {author} wrote, from {year} on.",),
)
def by_author_since(draw: Draw) -> Plan:
    author, year = draw.one(_authors(draw)), draw.any(range(1996, 2020))
    yield {"author": author, "year": year}
    yield call("get_papers_by_author", author=author, since_year=year)


@scenario(
    phrasings=(
        "Which papers cite {paper}?",
        "Who cites paper {paper}?",
        "List the first citations of {paper}.",
        "Show papers that cite {paper}.",
        "Give me papers that refer to {paper}.",
        "Look up the citations of {paper}.",
        "Who has cited {paper}?",
        "I want to see which papers cite {paper}.",
        "Is {paper} cited by others? Show them.",
        "Show me a page of citations of {paper}.",
        "Which work builds on {paper} and cites it?",
    ),
    unseen=("Find papers which cite the paper {paper}.", "By which papers is {paper} cited?"),
)
def citations(draw: Draw) -> Plan:
    paper_id = draw.one(list(draw.world("papers").papers))
    yield {"paper": paper_id}
    yield call("get_citations", paper_id=paper_id)


@scenario(
    phrasings=(
        "List all papers that cite {paper}, page by page.",
        "Give me every citation of {paper}, all pages.",
        "I need the complete list of papers that cite {paper}.",
        "Show all papers that cite {paper}. Do not stop after the first page.",
        "I want every single citation of {paper}.",
        "Go through all pages and list what cites {paper}.",
        "Who cites {paper}? I need all of them.",
        "Collect the whole list of citations of {paper}.",
    ),
    unseen=("Get all pages of the citations of {paper}.",),
)
def all_citations(draw: Draw) -> Plan:
    paper_id = draw.one(list(draw.world("papers").papers))
    yield {"paper": paper_id}
    page = yield call("get_citations", paper_id=paper_id)
    citing = page["citing"]
    while page["next_cursor"]:
        page = yield call("get_citations", paper_id=paper_id, cursor=page["next_cursor"])
        citing += page["citing"]
    return {"citing": citing}


@scenario(
    phrasings=(
        "Find a paper about {word} and tell me who wrote it.",
        "Who are the authors of the first paper on {word}?",
        "Search for {word} and give me the authors of the first paper.",
        "Look up a paper on {word}. Who are its authors?",
        "I want to know who wrote the first paper about {word}.",
        "Find papers on {word}, then the details of the first.",
        "Who works on {word}? Find a paper and tell me its authors.",
        "Give me the authors of a paper about {word}.",
    ),
    unseen=("Look for papers on {word} and name the authors of the first one.",),
)
def authors_by_keyword(draw: Draw) -> Plan:
    word = draw.one(_words(draw))
    yield {"word": word}
    found = yield call("get_papers_by_keywords", keywords=[word])
    if not found:
        return None
    yield call("get_paper_details", paper_id=found[0]["paper_id"])


@scenario(
    phrasings=(
        "What is the title of the first paper by {author}?",
        "Find the papers of {author} and look up the title of the first one.",
        "{author} wrote some papers. What is the first one called?",
        "What is the name of the first paper that {author} wrote?",
        "Search for papers of {author}, then tell me what the first one is called.",
        "Give me the title of the first paper from {author}.",
        "I want to know how the first paper of {author} is called.",
        "Find something by {author} and tell me the title.",
    ),
    unseen=("Look up the papers by {author} and give me the title of the first.",),
)
def title_by_author(draw: Draw) -> Plan:
    author = draw.one(_authors(draw))
    yield {"author": author}
    found = yield call("get_papers_by_author", author=author)
    yield call("get_paper", paper_id=found[0]["paper_id"])


@scenario(
    phrasings=(
        "Compare the citations of {one} and {two}.",
        "How many citations do {one} and {two} have?",
        "Which has been cited how often, {one} and {two}?",
        "Look up the citations of {one}, then those of {two}.",
        "How often were {one} and {two} cited?",
        "Which of the two has more citations, {one} or {two}?",
        "Give me the citation counts for {one} and for {two}.",
        "I want to compare {one} with {two}: how many citations does each have?",
    ),
    unseen=("Tell me how many citations the papers {one} and {two} have.",),
)
def compare(draw: Draw) -> Plan:
    one, two = draw.some(list(draw.world("papers").papers), 2)
    yield {"one": one, "two": two}
    first = yield call("get_paper_details", paper_id=one)
    second = yield call("get_paper_details", paper_id=two)
    return {"citations": [first["citations"], second["citations"]]}


def _authors(draw: Draw) -> list[str]:
    return sorted({author for paper in draw.world("papers").papers.values() for author in paper["authors"]})


def _words(draw: Draw) -> tuple[str, ...]:
    """Words of titles that exist, and at times any words."""
    titles = [paper["title"].lower().split() for paper in draw.world("papers").papers.values()]
    return draw.any((METHODS + TOPICS, *[tuple(word for title in titles for word in title)] * 4))

"""Requests for `tools/music.py`."""

from tl.scenarios import Ask, Draw, Plan, call, scenario
from tools.music import MOODS, THINGS

NAMES = [f"{mood} {thing}" for mood in MOODS for thing in THINGS]


@scenario(
    phrasings=(
        "Find the song {title}.",
        "Who sings {title}?",
        "Search for the track {title}.",
        "Which band plays {title}?",
    ),
    unseen=("Please search for the song {title}.", "Find out which band sings {title}."),
    ask=Ask(
        "title",
        "title",
        phrasings=("Find a song for me.", "Search for a track.", "Who sings that song?"),
        unseen=("Please search for a song.",),
    ),
)
def search(draw: Draw) -> Plan:
    title = draw.one([track["title"] for track in draw.world("music").tracks.values()])
    yield {"title": title}
    yield call("search_tracks", title=title)


@scenario(
    phrasings=(
        "Which songs are by {band}?",
        "Find tracks of {band}.",
        "What has the band {band} recorded?",
        "I like {band}. Which tracks do they have?",
    ),
    unseen=("Please search for songs of the band {band}.", "List tracks that {band} recorded."),
    ask=Ask(
        "band",
        "band",
        phrasings=("Find tracks of my favourite band.", "Which songs are by that band?"),
        unseen=("Please search for songs of a band.",),
    ),
)
def by_band(draw: Draw) -> Plan:
    band = draw.one(_bands(draw))
    yield {"band": band}
    yield call("search_tracks_by_band", band=band)


@scenario(
    phrasings=(
        "How long is track {id}?",
        "What is the title of {id}?",
        "Look up the track {id}.",
        "Which band plays {id}?",
    ),
    unseen=("Tell me title, band and length of {id}.", "Please look up {id}, it is a track."),
)
def track(draw: Draw) -> Plan:
    track_id = draw.one(_tracks(draw))
    yield {"id": track_id}
    yield call("get_track", track_id=track_id)


@scenario(
    phrasings=("How often was {id} played?", "How many plays does the track {id} have?", "Is {id} played a lot?"),
    unseen=("Tell me how many times {id} was played.", "What is the number of plays of track {id}?"),
)
def plays(draw: Draw) -> Plan:
    track_id = draw.one(_tracks(draw))
    yield {"id": track_id}
    yield call("get_track_plays", track_id=track_id)


@scenario(
    phrasings=(
        "Make a playlist called {name}.",
        "Create a new playlist with the name {name}.",
        "I need a playlist. Call it {name}.",
    ),
    unseen=("Please create the playlist {name}.", "Start a playlist and name it {name}."),
    ask=Ask(
        "name",
        "name",
        phrasings=("Make a playlist.", "Create a new playlist for me."),
        unseen=("Please create a playlist.",),
    ),
)
def playlist(draw: Draw) -> Plan:
    name = draw.one(NAMES)
    yield {"name": name}
    yield call("create_playlist", name=name)


@scenario(
    phrasings=(
        "Make a playlist called {name} with {one} and {two}.",
        "Create a playlist {name} that begins with the tracks {one} and {two}.",
    ),
    unseen=("Put {one} and {two} into a new playlist named {name}.",),
)
def playlist_of_two(draw: Draw) -> Plan:
    name, tracks = draw.one(NAMES), draw.some(_tracks(draw), 2)
    yield {"name": name, "one": tracks[0], "two": tracks[1]}
    yield call("create_playlist", name=name, track_ids=tracks)


@scenario(
    phrasings=(
        "Add {id} to the playlist {playlist}.",
        "Put the track {id} on playlist {playlist}.",
        "{id} belongs on {playlist}. Add it.",
    ),
    unseen=("Please add the track {id} to {playlist}.",),
    ask=Ask(
        "playlist",
        "playlist_id",
        phrasings=("Add {id} to a playlist.", "Put the track {id} on my playlist."),
        unseen=("Please add the track {id} to my playlist.",),
    ),
)
def add(draw: Draw) -> Plan:
    playlist_id, track_id = draw.one(list(draw.world("music").playlists)), draw.one(_tracks(draw))
    yield {"playlist": playlist_id, "id": track_id}
    yield call("add_to_playlist", playlist_id=playlist_id, track_id=track_id)


@scenario(
    phrasings=(
        "How often was the first song by {band} played?",
        "Find the tracks of {band} and tell me how often the first one was played.",
    ),
    unseen=("Search for songs of {band}. How many plays does the first have?",),
)
def plays_of_band(draw: Draw) -> Plan:
    band = draw.one(_bands(draw))
    yield {"band": band}
    found = yield call("search_tracks_by_band", band=band)
    yield call("get_track_plays", track_id=found[0]["track_id"])


@scenario(
    phrasings=(
        "Find the song {title} and add it to the playlist {playlist}.",
        "Search for {title} and put it on {playlist}.",
    ),
    unseen=("Look for the track {title}, then add it to playlist {playlist}.",),
)
def search_and_add(draw: Draw) -> Plan:
    world = draw.world("music")
    title = draw.one([found["title"] for found in world.tracks.values()])
    playlist_id = draw.one(list(world.playlists))
    yield {"title": title, "playlist": playlist_id}
    found = yield call("search_tracks", title=title)
    yield call("add_to_playlist", playlist_id=playlist_id, track_id=found[0]["track_id"])


def _tracks(draw: Draw) -> list[str]:
    return list(draw.world("music").tracks)


def _bands(draw: Draw) -> list[str]:
    return sorted({found["band"] for found in draw.world("music").tracks.values()})

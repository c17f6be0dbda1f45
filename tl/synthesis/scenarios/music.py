"""Requests for `tools/music.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools.music import MOODS, THINGS

NAMES = [f"{mood} {thing}" for mood in MOODS for thing in THINGS]


@scenario(
    phrasings=(
        "Find the song {title}.",
        "Who sings {title}?",
        "Search for the track {title}.",
        "Which band plays {title}?",
        "Is there a song called {title}?",
        "I want to hear {title}. Find it.",
        "Look up {title} for me, it is a song.",
        "By which band is {title}?",
    ),
    unseen=("Please search for the song {title}.", "Find out which band sings {title}."),
    ask=Ask(
        "title",
        "title",
        phrasings=(
            "Find a song for me.",
            "Search for a track.",
            "Who sings that song?",
            "I want to hear a song. Find it.",
            "Look up a song for me.",
            "Which band plays this song?",
        ),
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
        "Give me songs by {band}.",
        "What do {band} play?",
        "I want to hear {band}. Search their tracks.",
        "Look for music of {band}.",
        "Which tracks come from {band}?",
    ),
    unseen=("Please search for songs of the band {band}.", "List tracks that {band} recorded."),
    ask=Ask(
        "band",
        "band",
        phrasings=(
            "Find tracks of my favourite band.",
            "Which songs are by that band?",
            "I want to hear a certain band. Search their tracks.",
            "What has the band recorded?",
            "Look for music of a band.",
        ),
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
        "Tell me about track {id}.",
        "Give me the details of {id}.",
        "What is {id}, and who plays it?",
        "How many minutes does {id} take?",
    ),
    unseen=("Tell me title, band and length of {id}.", "Please look up {id}, it is a track."),
)
def track(draw: Draw) -> Plan:
    track_id = draw.one(_tracks(draw))
    yield {"id": track_id}
    yield call("get_track", track_id=track_id)


@scenario(
    phrasings=(
        "How often was {id} played?",
        "How many plays does the track {id} have?",
        "Is {id} played a lot?",
        "Give me the play count of {id}.",
        "Is the track {id} popular? Count its plays.",
        "Number of plays of {id}, please.",
        "How many times have people played {id}?",
    ),
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
        "Set up a playlist named {name}.",
        "I want a new playlist {name}.",
        "Open a playlist, its name should be {name}.",
        "Could you create {name} as a playlist?",
    ),
    unseen=("Please create the playlist {name}.", "Start a playlist and name it {name}."),
    ask=Ask(
        "name",
        "name",
        phrasings=(
            "Make a playlist.",
            "Create a new playlist for me.",
            "Set up a playlist.",
            "I want a new playlist.",
            "Could you create a playlist?",
        ),
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
        "I want a playlist {name} that holds {one} and {two}.",
        "New playlist {name}, please, with the tracks {one} and {two}.",
        "Set up {name}, a playlist of {one} and {two}.",
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
        "Append {id} to {playlist}.",
        "I want {id} on my playlist {playlist}.",
        "Playlist {playlist} should also have the track {id}.",
        "Include {id} in {playlist}.",
    ),
    unseen=("Please add the track {id} to {playlist}.",),
    ask=Ask(
        "playlist",
        "playlist_id",
        phrasings=(
            "Add {id} to a playlist.",
            "Put the track {id} on my playlist.",
            "I want {id} on a playlist.",
            "Append {id} to my playlist.",
            "Include {id} in one of my playlists.",
        ),
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
        "What is the play count of the first track of {band}?",
        "Look for songs of {band} and count the plays of the first.",
        "Find {band}'s first song and tell me how many plays it has.",
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
        "Put {title} on the playlist {playlist}; search for the song first.",
        "I want {title} on {playlist}. Find it and add it.",
        "Find {title}, then append it to {playlist}.",
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

"""A music service: tracks, artists and playlists."""

from __future__ import annotations

from tools._service import Service
from tools._vocabulary import LAST_NAMES, words

MOODS = words(
    "bitter broken burning crystal distant endless fading frozen gentle hidden hollow lonely quiet restless secret"
)
THINGS = words("avenue bridge dawn desert echo fever garden highway horizon ocean river shadow signal thunder winter")


class Toolkit(Service):
    """Twelve tracks of four bands and two playlists, drawn anew for every seed."""

    example = ("search_tracks", {"title": "river"})

    host = "api.music.example"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        numbers = self.random.sample(range(1000, 9999), 15)
        bands = [f"The {name}s" for name in self.random.sample(LAST_NAMES, 4)]
        self.tracks = {f"t{number}": self._new_track(bands) for number in numbers[:12]}
        self.playlists: dict[str, dict] = {
            f"l{number}": {"name": self.random.choice(THINGS), "tracks": self.random.sample(list(self.tracks), 2)}
            for number in numbers[12:14]
        }
        self._next_playlist = numbers[14]

    def _new_track(self, bands: list[str]) -> dict:
        return {
            "title": f"{self.random.choice(MOODS)} {self.random.choice(THINGS)}",
            "band": self.random.choice(bands),
            "seconds": self.random.randint(120, 420),
            "plays": self.random.randint(100, 90_000),
        }

    def search_tracks(self, title: str, limit: int = 3) -> list[dict]:
        """Tracks by words of their title.

        Args:
            title: Words of the title.
            limit: Most results.
        """
        self._request("/search")
        found = [(key, track) for key, track in self.tracks.items() if title.lower() in track["title"]]
        return [{"track_id": key, "band": track["band"]} for key, track in found[:limit]]

    def search_tracks_by_band(self, band: str) -> list[dict]:
        """Tracks of a band.

        Args:
            band: Name of the band.
        """
        self._request("/bands")
        found = [(key, track) for key, track in self.tracks.items() if track["band"] == band]
        return [{"track_id": key, "title": track["title"]} for key, track in found[:3]]

    def get_track(self, track_id: str) -> dict:
        """Title, band and length of a track.

        Args:
            track_id: Id such as t1234.
        """
        track = self._track(track_id)
        return {key: track[key] for key in ("title", "band", "seconds")}

    def get_track_plays(self, track_id: str) -> dict:
        """How often a track was played.

        Args:
            track_id: Id such as t1234.
        """
        return {"plays": self._track(track_id)["plays"]}

    def create_playlist(self, name: str, track_ids: list[str] | None = None) -> dict:
        """Make a new playlist.

        Args:
            name: Its name.
            track_ids: Tracks to begin with.
        """
        tracks = [track_id for track_id in track_ids or [] if self._track(track_id)]
        playlist_id = f"l{self._next_playlist}"
        self._next_playlist += 1
        self.playlists[playlist_id] = {"name": name, "tracks": tracks}
        return {"playlist_id": playlist_id, "tracks": len(tracks)}

    def add_to_playlist(self, playlist_id: str, track_id: str) -> dict:
        """Add a track to a playlist.

        Args:
            playlist_id: Id such as l1234.
            track_id: Id such as t1234.
        """
        self._track(track_id)
        if playlist_id not in self.playlists:
            return {"error": f"playlist {playlist_id} not found"}
        playlist = self.playlists[playlist_id]
        playlist["tracks"].append(track_id)
        return {"name": playlist["name"], "tracks": len(playlist["tracks"])}

    def _track(self, track_id: str) -> dict:
        self._request(f"/tracks/{track_id}")
        return self.tracks[track_id]

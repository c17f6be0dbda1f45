"""A catalogue of scientific papers: search, details and citations."""

from __future__ import annotations

from tools._service import Service
from tools._vocabulary import FIRST_NAMES, LAST_NAMES, words

METHODS = words(
    """
    acoustic adaptive additive amortized analytic approximate asymmetric asynchronous autonomous bayesian bilinear
    binary calibrated causal chaotic cognitive collective combinatorial compact conformal continuous contrastive
    convex cooperative cyclic deep differentiable discrete distributed dynamic elastic embedded empirical ensemble
    equivariant evolutionary explicit federated fractal functional fuzzy generative geometric gradient graph greedy
    harmonic hierarchical hybrid implicit incremental inductive interactive invariant iterative kernel latent lazy
    linear logical magnetic modal modular molecular monotone multilingual multiscale neural nonlinear optimal
    orthogonal parallel passive periodic planar polynomial predictive private probabilistic pseudorandom quantum
    random rational recurrent recursive relational reversible robust scalable semantic sequential sparse spatial
    spectral statistical stochastic structural symbolic synthetic temporal thermal topological transient
    unsupervised variational visual
    """
)
TOPICS = words(
    """
    algae alignment allergies amphibians antennas antibodies aquifers asteroids auctions avalanches bacteria
    batteries bees biofilms birdsong bridges butterflies caching carbon catalysts cells ceramics climate clouds
    clustering comets composites compression concrete control corals corrosion cosmology crystals cyclones databases
    deserts detectors diabetes dialects diamonds diffusion drones dunes earthquakes echoes elections emissions
    encryption engines enzymes epidemics erosion ethics evolution ferns fibers fisheries floods forecasting forests
    fossils friction fungi galaxies gases genes genomes glaciers glass graphene grasslands gravity hormones
    hurricanes hydrogen ice imaging immunity indexing insects insulin islands isotopes kidneys lakes landslides
    languages lasers lightning lipids logistics lungs magnets mammals markets mathematics melodies membranes memory
    metals meteors microbes migration minerals moss mutations navigation nerves networks neurons nitrogen nutrition
    oceans optics orbits oxides ozone parsing particles pathogens peatlands peptides permafrost pesticides photons
    pigments plankton planning plasma plasmids pollen pollution polymers primates proteins pulsars quasars radiation
    rainfall ranking reactors reefs reptiles resonance retinas rivers robots rotors routing sampling satellites
    scheduling seaweed sediments segmentation seismology semiconductors sensors silicon sleep soil speech spiders
    sponges stars steel storage superconductors tectonics telescopes textiles tides tissues toxins traffic
    translation tremors tsunamis tundra turbines turbulence urbanism vaccines viruses vision vitamins volcanoes
    vortices waves wetlands whales wildfires wool yeast zeolites
    """
)
VENUES = ("NeurIPS", "ICML", "ACL", "Nature", "Science", "PNAS", "JMLR", "CVPR")
PAGE = 3


class Toolkit(Service):
    """Sixteen papers, drawn anew for every seed."""

    example = ("get_papers_by_keywords", {"keywords": ["ferns", "proteins"]})

    host = "api.papers.example"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        ids = self.random.sample(range(1000, 9999), 16)
        authors = [f"{self.random.choice(FIRST_NAMES)} {self.random.choice(LAST_NAMES)}" for _ in range(6)]
        self.papers = {f"p{number}": self._new_paper(f"p{number}", authors) for number in ids}

    def _new_paper(self, paper_id: str, authors: list[str]) -> dict:
        method, topic = self.random.choice(METHODS), self.random.choice(TOPICS)
        return {
            "paper_id": paper_id,
            "title": f"{method} {topic}".capitalize(),
            "year": self.random.randint(1995, 2025),
            "authors": self.random.sample(authors, 2),
            "venue": self.random.choice(VENUES),
            "citations": self.random.randint(0, 900),
        }

    def _find(self, paper_id: str) -> dict | None:
        self._request(f"/papers/{paper_id}")
        return self.papers.get(paper_id)

    def get_paper(self, paper_id: str) -> dict:
        """Title and year of a paper.

        Args:
            paper_id: Id such as p1234.
        """
        paper = self._find(paper_id)
        if paper is None:
            return {"error": f"paper {paper_id} not found"}
        return {"title": paper["title"], "year": paper["year"]}

    def get_paper_details(self, paper_id: str) -> dict:
        """Authors, venue and number of citations of a paper.

        Args:
            paper_id: Id such as p1234.
        """
        paper = self._find(paper_id)
        if paper is None:
            return {"error": f"paper {paper_id} not found"}
        return {key: paper[key] for key in ("authors", "venue", "citations")}

    def get_papers_by_keywords(self, keywords: list[str], limit: int = 3) -> list[dict]:
        """Papers whose title holds one of the keywords.

        Args:
            keywords: Words of the title.
            limit: Most results.
        """
        self._request("/search")
        if not isinstance(keywords, list):
            raise TypeError(f"keywords must be a list, not {type(keywords).__name__}")
        words = [word.lower() for word in keywords]
        found = [p for p in self.papers.values() if any(word in p["title"].lower() for word in words)]
        return [{"paper_id": p["paper_id"], "title": p["title"]} for p in found[:limit]]

    def get_papers_by_author(self, author: str, since_year: int | None = None) -> list[dict]:
        """Papers of an author.

        Args:
            author: Full name.
            since_year: Earliest year.
        """
        self._request("/authors")
        found = [p for p in self.papers.values() if author in p["authors"]]
        if since_year is not None:
            found = [p for p in found if p["year"] >= since_year]
        return [{"paper_id": p["paper_id"], "year": p["year"]} for p in found[:PAGE]]

    def get_citations(self, paper_id: str, cursor: str | None = None) -> dict:
        """Papers that cite a paper, three a page.

        Args:
            paper_id: Id such as p1234.
            cursor: next_cursor of the page before.
        """
        paper = self._find(paper_id)
        if paper is None:
            return {"error": f"paper {paper_id} not found"}
        citing = [other for other in self.papers if other != paper_id][: paper["citations"] % 6]
        start = 0 if cursor is None else int(cursor.removeprefix("c"))
        end = start + PAGE
        return {"citing": citing[start:end], "next_cursor": f"c{end}" if end < len(citing) else None}

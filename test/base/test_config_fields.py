"""What a peer's YAML file says of what it takes and shares."""

from __future__ import annotations

from p2p.base.config import (
    PeerEntry,
    PeerLimits,
    load_peers,
)
from test.base.test_config import PEERS, ConfigTestCase


class ConsentTests(ConfigTestCase):
    """What a peer says about content that comes to it, and about what others may get."""

    def entry(self, text: str) -> PeerEntry:
        """Load a file with these keys of n2.n."""
        return load_peers(self.file(PEERS + text)).peers[1]

    def refused(self, text: str) -> list[str]:
        """The problems of a file with these keys of n2.n, without what they have in common."""
        return [line.partition(": peers[1].")[2] for line in self.peers_refused(PEERS + text)]

    def test_defaults(self) -> None:
        """A peer that says nothing takes everything under a free name, keeps links, and shares nothing."""
        entry = self.entry("")
        self.assertEqual((None, "rename", "keep"), (entry.accept, entry.exists, entry.symlinks))
        self.assertEqual((None, 0, {}), (entry.quota, entry.keep_free, entry.share))

    def test_rules(self) -> None:
        """A rule says from whom, for what, up to which size, and what happens then; one thing needs no list."""
        entry = self.entry(
            "  accept:\n"
            "  - {from: '*.m', service: transfer, type: video, size: 10GB, then: ask}\n"
            "  - {from: [n1.n, m1.*], service: [store, uppercase], type: [text, data], then: refuse}\n"
            "  - {then: accept}\n"
        )
        assert entry.accept is not None
        self.assertEqual(
            [
                (["*.m"], ["transfer"], ["video"], 10_000_000_000, "ask"),
                (["n1.n", "m1.*"], ["store", "uppercase"], ["text", "data"], None, "refuse"),
                (["*"], [], [], None, "accept"),
            ],
            [(rule.sender, rule.service, rule.type, rule.size, rule.then) for rule in entry.accept],
        )

    def test_empty_list(self) -> None:
        """A list without rules isn't the same as no list: it accepts nothing."""
        self.assertEqual([], self.entry("  accept: []\n").accept)

    def test_bad_rules(self) -> None:
        """Each thing that is wrong in a rule is told by itself, with the keys as they stand in the file."""
        self.assertEqual(
            [
                "accept[0].then: is missing, expected 'accept', 'ask' or 'refuse'",
                "accept[1].form: unknown key, did you mean from?",
                "accept[2].from[0]: 'N*.m' isn't a pattern of peers' names, expected one like m4.m, *.m or *",
                "accept[2].service[0]: 'Store' isn't the name of a service, expected one like transfer, in lower case",
                "accept[2].size: 'huge' is no size; write it like 500kB, 10MB, 2GiB or 4096",
                "accept[2].then: is yes, expected 'accept', 'ask' or 'refuse'",
                "accept[2].type[0]: is 'film', expected 'text', 'audio', 'video' or 'data'",
                "accept[3].from: is a list without entries, expected at least 1 entry",
                "accept[4]: is 5, expected a mapping",
            ],
            self.refused(
                "  accept:\n"
                "  - {from: n1.n}\n"
                "  - {form: n1.n, then: ask}\n"
                "  - {from: N*.m, service: Store, type: film, size: huge, then: yes}\n"
                "  - {from: [], then: ask}\n"
                "  - 5\n"
            ),
        )

    def test_patterns(self) -> None:
        """A pattern is a name of a peer with stars in it, or a star alone; what can never fit is refused."""
        for pattern in ("*", "n1.n", "*.m", "n*.m", "n1.*", "*-lab.m", "*.*"):
            self.entry(f"  accept: [{{from: '{pattern}', then: ask}}]\n")
        for pattern in ("", "n1", "**", "*m", "n1.n ", "n1.n,n2.n", "[ab].m", "n?.m", "N1.n"):
            (line,) = self.refused(f"  accept: [{{from: '{pattern}', then: ask}}]\n")
            self.assertIn("isn't a pattern of peers' names", line)

    def test_sizes(self) -> None:
        """Sizes are numbers, or have units; they aren't less than nothing, nor without bounds."""
        entry = self.entry("  quota: 1.5GB\n  keep_free: 4096\n")
        self.assertEqual((1_500_000_000, 4096), (entry.quota, entry.keep_free))
        self.assertEqual(
            ["quota: is -1, expected at least 0", "keep_free: is 1.5, expected a whole number"],
            self.refused("  quota: -1\n  keep_free: 1.5\n"),
        )
        (line,) = self.refused("  quota: 999999999TB\n")
        self.assertIn("expected at most", line)

    def test_choices(self) -> None:
        """What happens with a taken name and with links is one of a few words."""
        entry = self.entry("  exists: replace\n  symlinks: refuse\n")
        self.assertEqual(("replace", "refuse"), (entry.exists, entry.symlinks))
        self.assertEqual(
            [
                "exists: is 'overwrite', expected 'rename', 'replace' or 'refuse'",
                "symlinks: is 'follow', expected 'keep' or 'refuse'",
            ],
            self.refused("  exists: overwrite\n  symlinks: follow\n"),
        )

    def test_share(self) -> None:
        """Names are given to what is shared, or it has the names that it has on disk."""
        for name in ("films", "notes"):
            (self.folder / name).mkdir()
        named = {"films": self.folder / "films", "all my notes": self.folder / "notes"}
        self.assertEqual(named, self.entry("  share: {films: films, all my notes: notes}\n").share)
        listed = {"films": self.folder / "films", "ca.pem": self.folder / "ca.pem"}
        self.assertEqual(listed, self.entry("  share: [films/, ./ca.pem]\n").share)

    def test_share_that_is_missing(self) -> None:
        """What is shared must be there, unless the file is meant for another machine."""
        text = "  share: {films: films}\n"
        reason = f"{self.folder}/films isn't there, or this user may not see it, expected a folder or a file to share"
        self.assertEqual([f"share.films: {reason}"], self.refused(text))
        load_peers(self.file(PEERS + text), files=False)

    def test_names_of_shares(self) -> None:
        """Others put the name of a share before a slash, so that not every text can be one."""
        (self.folder / "films").mkdir()
        for name in ("..", ".", "a/b", ".p2p-1", "\\n", "x" * 201, ""):
            (line,) = self.refused(f'  share: {{"{name}": films}}\n')
            self.assertIn("can't be the name of something shared", line)
        (line,) = self.refused("  share: [/]\n")
        self.assertIn("can't be the name of something shared", line)

    def test_bad_lists_of_shares(self) -> None:
        """A list has paths with different names at their ends."""
        self.assertEqual(
            ["share: two paths end with 'films', expected a mapping from different names to paths"],
            self.refused("  share: [/srv/films, more/films]\n"),
        )
        self.assertEqual(
            ["share: 5 can't be a path, expected a list of paths, or a mapping from names to paths"],
            self.refused("  share: [5]\n"),
        )
        self.assertEqual(["share: is 'films', expected a mapping"], self.refused("  share: films\n"))

    def test_state(self) -> None:
        """What outlives the daemon is where the file says, or beside the first inbox."""
        self.assertEqual(self.folder / "inbox" / "n1.n.state", load_peers(self.file(PEERS)).state_folder)
        config = load_peers(self.file(PEERS + "state: var/state\n"))
        self.assertEqual(self.folder / "var" / "state", config.state_folder)

    def test_unfinished_days(self) -> None:
        """Parts stay for a day at least: nobody wants to lose what broke off a minute ago."""
        self.assertEqual(7, PeerLimits().unfinished_days)
        (line,) = self.peers_refused(PEERS + "limits: {unfinished_days: 0}\n")
        self.assertIn("limits.unfinished_days: is 0, expected at least 1", line)

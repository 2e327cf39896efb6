# SPDX-License-Identifier: GPL-2.0
"""A process rxe_wire, and what it told of itself."""

import subprocess


class Region:
    """Memory with a key: a region, or a window in one."""

    def __init__(self, key, address, length, rights):
        self.key = int(key)
        self.address = int(address)
        self.length = int(length)
        self.rights = rights.lstrip(".")


class Pair:
    """A queue pair of the target's."""

    TYPES = {"2": "RC", "3": "UC", "4": "UD"}

    def __init__(self, name, qpn, kind):
        self.name = name
        self.qpn = int(qpn)
        self.type = self.TYPES[kind]


class Target:
    """Commands may be sent in advance; each is answered in its turn."""

    def __init__(self, program, number, address, kind):
        self.process = subprocess.Popen([program, str(number), address, kind], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.number = number
        self.regions = {}
        self.names = {}
        self.pairs = {}
        for word, *rest in self.lines():
            if word == "region":
                self.regions[rest[0]] = Region(*rest[1:5])
                self.names[int(rest[5])] = rest[0]
            elif word == "pair":
                self.pairs[rest[0]] = Pair(*rest)
        self.vault = self.pairs.pop("vault")

    def lines(self):
        """What it says until "ok", a list of words each."""
        found = []
        for line in self.process.stdout:
            if line == "ok\n":
                return found
            found.append(line.split())
        raise RuntimeError(f"rxe_wire {self.number} has ended: {self.process.wait()}")

    def say(self, *words):
        print(*words, file=self.process.stdin)
        return self.lines()

    def reset(self, name, state, rq_psn, sq_psn, depth):
        """Returns the PSN that was expected before."""
        return int(self.say("reset", name, state, rq_psn, sq_psn, depth)[0][1])

    def bind(self, name):
        """New windows, which may have failed."""
        for _, window, *rest in self.say("bind", name):
            self.regions[window] = Region(*rest)

    def post(self, name, operation, region):
        self.say("post", name, operation, region.key, region.address)

    def check(self):
        """(what has changed that may not, requests completed, with success)"""
        *changed, (_, completed, succeeded) = self.say("check")
        return [" ".join(words[1:]) for words in changed], int(completed), int(succeeded)

    def end(self):
        self.process.stdin.close()
        return self.process.wait(60)

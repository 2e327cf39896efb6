# SPDX-License-Identifier: GPL-2.0
"""What the fuzzer sends: requests as they should be, and what can be made of them."""

from wire import MTU, OPCODES, PSN_MASK

QKEY = 0x11111111
WIDE = (1 << 64) - 1
REQUESTS = [name[3:] for name, what in OPCODES.items() if name.startswith("RC_") and not 13 <= what[0] <= 18]


class Packet:
    """An opcode, its fields by name, and what else is wanted of it."""

    __slots__ = ("name", "fields", "payload", "cut")

    def __init__(self, name, payload=b"", **fields):
        self.name = name
        self.fields = fields
        self.payload = payload
        self.cut = 0

    def copy(self):
        other = Packet(self.name, self.payload, **self.fields)
        other.cut = self.cut
        return other

    def __str__(self):
        fields = " ".join(f"{name}={value:#x}" for name, value in self.fields.items())
        return f"{self.name} {fields} payload={len(self.payload)}" + (f" cut={self.cut}" if self.cut else "")


class Moves:
    """Of one queue pair, whose PSN is followed as if all that is right were accepted."""

    def __init__(self, rng, target, others, pair, psn):
        self.rng = rng
        self.target = target
        self.pair = pair
        self.psn = psn
        self.history = []
        self.everything = [region for one in (target, *others) for region in one.regions.values()]
        # What it is after: memory that it has no right to.
        self.wanted = rng.choice([region for region in self.everything if "r" not in region.rights])

    def has(self, right):
        """A region with that right, of the kind that this queue pair may use."""
        mine = {"rc0": "windows:", "rc1": "windows-odp:"}.get(self.pair.name, "-")
        return self.rng.choice([region for name, region in self.target.regions.items() if right in region.rights and
                                (":" not in name or name.endswith(":0") or name.startswith(mine))])

    def spot(self, region, length, align=1):
        first = -region.address % align
        room = max(region.length - length - first, 0) // align
        return region.address + first + self.rng.randint(0, room) * align

    def data(self, length):
        return self.rng.randbytes(length)

    def take(self, count):
        """So many PSNs; the first of them."""
        first = self.psn
        self.psn = (self.psn + count) & PSN_MASK
        return first

    def packet(self, op, payload=b"", count=1, **fields):
        """The next one in turn."""
        packet = Packet(f"{self.pair.type}_{op}", payload, qpn=self.pair.qpn, psn=self.take(count),
                        ack=self.rng.choice((0, 0x80)), **fields)
        if self.pair.type == "UD":
            packet.fields.update(qkey=QKEY, sqpn=self.rng.randrange(1 << 24))
        return packet

    # --- requests as they should be ---

    def message(self, what, payload, first, **last):
        """SEND or WRITE, of as many packets as it takes; last: the fields of its last one."""
        kind = "_IMM" if "imm" in last else "_INV" if "invalidate" in last else ""
        pieces = [payload[at:at + MTU] for at in range(0, len(payload), MTU)] or [b""]
        if len(pieces) == 1 or self.pair.type == "UD":
            return [self.packet(f"{what}_ONLY{kind}", pieces[0], **first, **last)]
        packets = [self.packet(f"{what}_FIRST", pieces[0], **first)]
        packets += [self.packet(f"{what}_MIDDLE", piece) for piece in pieces[1:-1]]
        return packets + [self.packet(f"{what}_LAST{kind}", pieces[-1], **last)]

    def length(self, most=3 * MTU):
        rng = self.rng
        return rng.choice((1, 4, 8, rng.randint(1, 64), rng.randint(1, most), MTU, 2 * MTU))

    def send(self):
        last = {}
        if self.rng.random() < 0.2:
            last["imm"] = self.rng.randrange(1 << 32)
        elif self.pair.type == "RC" and self.rng.random() < 0.1:
            last["invalidate"] = self.rng.choice(self.everything).key
        return self.message("SEND", self.data(self.length()), {}, **last)

    def write(self):
        length = self.length()
        region = self.has("w")
        last = {"imm": 5} if self.rng.random() < 0.2 else {}
        first = {"va": self.spot(region, length), "rkey": region.key, "length": length}
        return self.message("WRITE", self.data(length), first, **last)

    def read(self):
        length = self.length()
        region = self.has("r")
        return [self.packet("READ", count=-(-length // MTU), va=self.spot(region, length), rkey=region.key,
                            length=length)]

    def atomic(self):
        region = self.has("a")
        at = {"va": self.spot(region, 8, 8), "rkey": region.key}
        if self.rng.random() < 0.3:
            return [self.packet("ATOMIC_WRITE", self.data(8), length=8, **at)]
        return [self.packet(self.rng.choice(("CMP_SWAP", "FETCH_ADD")), swap=self.rng.choice(self.everything).address,
                            compare=0, **at)]

    def flush(self):
        region = self.has("f")
        length = self.length()
        return [self.packet("FLUSH", feth=1 | self.rng.choice((0, 0x10)), va=self.spot(region, length),
                            rkey=region.key, length=length)]

    def valid(self):
        if self.pair.type == "UD":
            return self.send()
        if self.pair.type == "UC":
            return self.rng.choice((self.send, self.write))()
        return self.rng.choice((self.send, self.write, self.read, self.read, self.atomic, self.flush))()

    # --- what is right and odd ---

    def packed(self, region):
        """A key and a length, where an address is expected: what one kind of request is remembered by may be
        taken for another."""
        return self.rng.choice((region.length, 0xFFFFFFFF)) << 32 | region.key

    def odd(self):
        """A FLUSH of a whole region ignores its address and length."""
        first = self.read() if self.rng.random() < 0.5 else []
        low = self.wanted.address & 0x7FFFFFFF
        return first + [self.packet("FLUSH", feth=0x11, va=self.packed(self.wanted), rkey=self.has("f").key,
                                    length=self.rng.choice((8, max(low - 1000, 0), low)))]

    def replay(self):
        """Of a PSN that was there before: the same, or another request."""
        rng = self.rng
        old = rng.choice(self.history[-rng.choice((1, 2, 8)):]).copy()
        if rng.random() < 0.3:
            return [old]
        psn = old.fields["psn"]
        region = self.wanted if rng.random() < 0.7 else rng.choice(self.everything)
        length = min(rng.choice((8, 64, MTU, 4 * MTU)), region.length)
        name = rng.choice(("READ", "READ", "READ", "FETCH_ADD", "ATOMIC_WRITE", "FLUSH"))
        new = self.packet(name, self.data(8) if name == "ATOMIC_WRITE" else b"", count=0,
                          va=self.spot(region, length), rkey=region.key, length=length)
        new.fields["psn"] = psn
        return [new]

    # --- what is wrong ---

    def beyond(self):
        """All is right but for the address, which is before the region or window, or behind it, or half of it is."""
        rng = self.rng
        right = "w" if self.pair.type == "UC" else rng.choice("rrw")
        region = self.has(right)
        length = rng.choice((8, 64, MTU))
        va = rng.choice((region.address - rng.randint(1, length), region.address - rng.randint(length, 3000),
                         region.address + region.length - rng.randint(0, length - 1),
                         region.address + region.length + rng.randint(0, 3000)))
        return [self.packet("READ" if right == "r" else "WRITE_ONLY", b"" if right == "r" else self.data(length),
                            va=va & WIDE, rkey=region.key, length=length)]

    def number(self, old, bits):
        rng = self.rng
        some = (old + rng.choice((-8, -1, 1, 8)), old ^ 1 << rng.randrange(bits), rng.randrange(1 << bits),
                0, 1, -1, 1 << bits - 1, (1 << bits - 1) + 1)
        return rng.choice(some) & (1 << bits) - 1

    def key(self, old):
        some = self.rng.choice(self.everything).key
        return self.rng.choice((some, some, self.wanted.key, self.number(old, 32)))

    def address(self, old):
        rng = self.rng
        region = rng.choice((self.wanted, rng.choice(self.everything)))
        edge = rng.choice((region.address, region.address + region.length)) + rng.randint(-9, 9)
        near = max(old + rng.randint(-9000, 9000), 0) & WIDE
        return rng.choice((self.spot(region, 64), edge & WIDE, near, near, self.packed(region), self.number(old, 64)))

    def mutate_field(self, packet):
        rng = self.rng
        mine = [name for name in packet.fields if name != "qpn"]
        where = [name for name in mine if name in ("va", "rkey", "length")]
        field = rng.choice(mine + where * 2 + ["opcode", "flags", "pkey", "congestion", "qpn"])
        old = packet.fields.get(field, 0)
        if field in ("rkey", "invalidate"):
            new = self.key(old)
        elif field == "va":
            new = self.address(old)
        elif field == "psn":
            new = old + rng.choice((-1, -2, -rng.randint(1, 40), 1, 2, rng.randint(1, 40), 1 << 23, rng.randrange(1 << 24)))
            new &= PSN_MASK
        elif field == "opcode":
            new = rng.choice((rng.randrange(256), OPCODES["RC_" + rng.choice(REQUESTS)][0]))
        elif field == "qpn":
            new = rng.choice((0, 1, (1 << 24) - 1, rng.randrange(1 << 24), self.pair.qpn ^ 1,
                              rng.choice(list(self.target.pairs.values())).qpn, self.target.vault.qpn))
        elif field in ("flags", "congestion", "ack"):
            new = rng.randrange(256)
        else:
            new = self.number(old, {"pkey": 16, "length": 32, "imm": 32, "feth": 32, "qkey": 32, "sqpn": 24}.get(field, 64))
        packet.fields[field] = new

    def mutate_payload(self, packet):
        rng = self.rng
        length = rng.choice((0, 1, len(packet.payload) + 1, max(len(packet.payload) - 1, 0), MTU, MTU + 4,
                             rng.randrange(1300)))
        packet.payload = self.data(length)

    def mutate_cut(self, packet):
        packet.cut = self.rng.choice((1, 2, 3, 4, 8, self.rng.randint(1, 60)))

    def mutate(self, packet):
        """Another one, of which something is wrong, or most things."""
        packet = packet.copy()
        for _ in range(self.rng.choice((1, 1, 1, 2, 4))):
            self.rng.choice((self.mutate_field,) * 6 + (self.mutate_payload, self.mutate_cut))(packet)
        return packet


class Cases(Moves):
    """What was found once, of rc0 of the first process."""

    def __init__(self, rng, target, psn):
        super().__init__(rng, target, [], target.pairs["rc0"], psn)

    def at(self, name, offset, length):
        region = self.target.regions[name]
        return {"va": region.address + offset, "rkey": region.key, "length": length}

    def packets(self, name):
        return getattr(self, name)()

    def vault(self):
        """A READ that is answered again, by what is known of a FLUSH (its own PSN, or one that it took the place
        of): memory of another protection domain."""
        self.wanted = self.target.regions["vault"]
        read = self.packet("READ", **self.at("public", 0, 64))
        flush = self.packet("FLUSH", feth=0x11, va=0xFFFFFFFF << 32 | self.wanted.key,
                            rkey=self.target.regions["public"].key, length=8)
        again = [Packet("RC_READ", qpn=self.pair.qpn, psn=one.fields["psn"], **self.at("vault", 0, 64))
                 for one in (read, flush)]
        return [read, flush, *again]

    def window_read(self):
        """Behind a window, in its region, which the peer has no right to."""
        return [self.packet("READ", **self.at("windows:0", 2000, 64))]

    def window_write(self):
        return [self.packet("WRITE_ONLY", self.data(64), **self.at("windows:1", -1000, 64))]

# SPDX-License-Identifier: GPL-2.0
"""RoCEv2 packets: scapy makes one of each opcode, and fields are changed by their places in it.

scapy takes milliseconds for a packet, where the guest is emulated, and this microseconds.
"""

import logging
import socket
import struct
import zlib

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
# pylint: disable=wrong-import-position
from scapy.contrib.roce import AETH, BTH  # noqa: E402
from scapy.fields import BitField, IntField, LongField, XIntField, XLongField  # noqa: E402
from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Packet  # noqa: E402

PORT = 4791
MTU = 256
ETHER = 14
BTH_AT = ETHER + 20 + 8
ICRC = 4
FLUSH, FLUSH_HEAD = 28, 12 + 4 + 16
SECRET = struct.pack("<I", 0xE7C25EC5)
PUBLIC = b"PUB!"
PSN_MASK = (1 << 24) - 1


def _layer(name, *fields):
    return type(name, (Packet,), {"name": name, "fields_desc": list(fields)})


RETH = _layer("RETH", XLongField("va", 0), XIntField("rkey", 0), IntField("length", 0))
ATOMIC = _layer("ATOMIC", XLongField("va", 0), XIntField("rkey", 0), LongField("swap", 0), LongField("compare", 0))
ATOMIC_ACK = _layer("ATOMIC_ACK", LongField("original", 0))
IMM = _layer("IMM", XIntField("imm", 0))
IETH = _layer("IETH", XIntField("invalidate", 0))
DETH = _layer("DETH", XIntField("qkey", 0), BitField("resv", 0, 8), BitField("sqpn", 0, 24))
FETH = _layer("FETH", BitField("resv_feth", 0, 26), BitField("level", 0, 2), BitField("placement", 0, 4))

# What comes behind the BTH; UC has the first twelve of RC, too.
_RC = {
    0: ("SEND_FIRST",), 1: ("SEND_MIDDLE",), 2: ("SEND_LAST",), 3: ("SEND_LAST_IMM", IMM),
    4: ("SEND_ONLY",), 5: ("SEND_ONLY_IMM", IMM), 6: ("WRITE_FIRST", RETH), 7: ("WRITE_MIDDLE",),
    8: ("WRITE_LAST",), 9: ("WRITE_LAST_IMM", IMM), 10: ("WRITE_ONLY", RETH),
    11: ("WRITE_ONLY_IMM", RETH, IMM), 12: ("READ", RETH), 13: ("READ_RESPONSE_FIRST", AETH),
    14: ("READ_RESPONSE_MIDDLE",), 15: ("READ_RESPONSE_LAST", AETH), 16: ("READ_RESPONSE_ONLY", AETH),
    17: ("ACK", AETH), 18: ("ATOMIC_ACK", AETH, ATOMIC_ACK), 19: ("CMP_SWAP", ATOMIC),
    20: ("FETCH_ADD", ATOMIC), 22: ("SEND_LAST_INV", IETH), 23: ("SEND_ONLY_INV", IETH),
    28: ("FLUSH", FETH, RETH), 29: ("ATOMIC_WRITE", RETH),
}
OPCODES = {"RC_" + what[0]: (code, *what[1:]) for code, what in _RC.items()}
OPCODES.update({"UC_" + what[0]: (0x20 + code, *what[1:]) for code, what in _RC.items() if code < 12})
OPCODES.update({"UD_SEND_ONLY": (0x64, DETH), "UD_SEND_ONLY_IMM": (0x65, DETH, IMM)})
NAMES = {what[0]: name for name, what in OPCODES.items()}
# Of 8 bits each, though scapy has them bit by bit.
_BTH = {"opcode": (0, 1), "flags": (1, 1), "pkey": (2, 2), "congestion": (4, 1), "qpn": (5, 3), "ack": (8, 1),
        "psn": (9, 3)}


class Template:
    """One opcode: its head, and where each field is in it (byte, bytes)."""

    def __init__(self, name, ends):
        code, *layers = OPCODES[name]
        packet = Ether(src=ends["mac"], dst=ends["peer_mac"]) / IP(src=ends["address"], dst=ends["peer"], flags="DF")
        packet = packet / UDP(sport=0xC123, dport=PORT, chksum=0) / BTH(opcode=code, pkey=0xFFFF)
        for layer in layers:
            packet = packet / layer()
        self.scapy = packet
        self.head = bytes(packet)[:-ICRC]
        self.at = {field: (BTH_AT + at, size) for field, (at, size) in _BTH.items()}
        bit = (BTH_AT + 12) * 8
        for layer in layers:
            for field in layer().fields_desc:
                size = round(field.sz * 8)
                if bit % 8 == 0 and size % 8 == 0:
                    self.at[field.name] = (bit // 8, size // 8)
                bit += size
            if layer is FETH:
                self.at["feth"] = (bit // 8 - 4, 4)

    def encode(self, fields, payload=b"", cut=0):
        """The frame, its ICRC right. fields may have "flags", else these say how much padding there is."""
        frame = bytearray(self.head)
        frame[BTH_AT + 1] = (-len(payload) & 3) << 4
        for field, value in fields.items():
            if field in self.at:
                at, size = self.at[field]
                frame[at:at + size] = value.to_bytes(size, "big")
        frame += payload + bytes(-len(payload) & 3)
        if cut:
            del frame[max(len(frame) - cut, BTH_AT + 12):]
        return seal(frame)


def icrc(frame):
    """Of a frame without one. rxe's own FLUSH has its head in it once more, which only rxe understands."""
    masked = bytearray(frame[ETHER:])
    masked[1] = masked[8] = masked[28 + 4] = 0xFF
    masked[10:12] = masked[26:28] = b"\xff\xff"
    if frame[BTH_AT] != FLUSH:
        return zlib.crc32(bytes(masked), zlib.crc32(b"\xff" * 8))
    head = zlib.crc32(bytes(masked[:28 + FLUSH_HEAD]), zlib.crc32(b"\xff" * 8))
    return zlib.crc32(bytes(frame[BTH_AT:]), head)


def seal(frame):
    """Lengths, the checksum of IP, and the ICRC."""
    length = len(frame) - ETHER + ICRC
    struct.pack_into("!H", frame, ETHER + 2, length)
    struct.pack_into("!H", frame, ETHER + 20 + 4, length - 20)
    struct.pack_into("!H", frame, ETHER + 10, 0)
    total = sum(struct.unpack_from("!10H", frame, ETHER))
    total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", frame, ETHER + 10, ~(total + (total >> 16)) & 0xFFFF)
    return bytes(frame) + struct.pack("<I", icrc(frame))


def templates(ends):
    """One of each opcode; scapy has to make the same of it."""
    made = {name: Template(name, ends) for name in OPCODES}
    for name, template in made.items():
        if name != "RC_FLUSH" and template.encode({}) != bytes(template.scapy):
            raise ValueError(f"scapy makes another packet of {name}")
    return made


class Answer:
    """A packet that came."""

    __slots__ = ("opcode", "psn", "qpn", "body", "pad", "frame", "syndrome")

    def __init__(self, frame):
        self.frame = frame
        self.opcode = frame[BTH_AT]
        self.psn = int.from_bytes(frame[BTH_AT + 9:BTH_AT + 12], "big")
        self.qpn = int.from_bytes(frame[BTH_AT + 5:BTH_AT + 8], "big")
        self.pad = frame[BTH_AT + 1] >> 4 & 3
        head = BTH_AT + 12
        self.syndrome = frame[head] if self.opcode in (13, 15, 16, 17, 18) else None
        if self.syndrome is not None:
            head += 4
        self.body = frame[head:len(frame) - ICRC - self.pad]

    def wrong(self):
        """What is wrong with it as a packet, or None."""
        if struct.unpack("<I", self.frame[-ICRC:])[0] != icrc(self.frame[:-ICRC]):
            return "a wrong ICRC"
        if any(self.frame[len(self.frame) - ICRC - self.pad:-ICRC]):
            return "padding that is not zero"
        return None

    def secret(self):
        """Which memory it has that it must not have: (region, process), or None."""
        at = self.body.find(SECRET)
        if at < 0:
            return None
        # What it is of comes before it, and behind it.
        word = self.body[at + 4:at + 8] if at + 8 <= len(self.body) else self.body[at - 4:at]
        return (word[3], word[2]) if len(word) == 4 else (None, None)

    def torn(self):
        """Whether it has public memory, and not as this is: each word is followed by the next one."""
        at = self.body.find(PUBLIC)
        if at < 0 or at + 16 > len(self.body):
            return False
        first = int.from_bytes(self.body[at + 4:at + 8], "little")
        words = (len(self.body) - at) // 8
        want = b"".join(PUBLIC + struct.pack("<I", first + i) for i in range(words))
        return self.body[at:at + words * 8] != want


class Wire:
    """The peer's end of the network."""

    def __init__(self, device):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self.socket.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
        self.socket.bind((device, 0x0800))
        self.socket.setblocking(False)
        self.sent = self.received = 0

    def send(self, frame):
        self.socket.send(frame)
        self.sent += 1

    def answers(self):
        """All that has come."""
        while True:
            try:
                frame = self.socket.recv(4096)
            except BlockingIOError:
                return
            port = int.from_bytes(frame[ETHER + 22:ETHER + 24], "big")
            if frame[ETHER + 9] == 17 and port == PORT and len(frame) >= BTH_AT + 16:
                self.received += 1
                yield Answer(frame[:ETHER + int.from_bytes(frame[ETHER + 2:ETHER + 4], "big")])

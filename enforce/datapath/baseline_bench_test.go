package datapath

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/gopacket/gopacket/layers"
)

// What a verdict is compared with: programs that read a packet's headers and
// look at most one thing up.

const (
	ipAt      = ethernetLen
	ipDstAt   = ipAt + 16
	tcpAt     = ipAt + 20
	ipLength  = 20
	tcpLength = 14 // as far as the flags
	stackIP   = -24
	stackTCP  = -40
	stackKey  = -48
)

// load reads bytes of the packet to the stack.
func load(at, length int32, to int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, at),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, to),
		asm.Mov.Imm(asm.R4, length),
		asm.FnSkbLoadBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, "exit"),
	}
}

// parsing reads the IP and the TCP header.
func parsing() asm.Instructions {
	instructions := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	instructions = append(instructions, load(ipAt, ipLength, stackIP)...)
	return append(instructions, load(tcpAt, tcpLength, stackTCP)...)
}

func finish(instructions asm.Instructions) asm.Instructions {
	return append(instructions, asm.Mov.Imm(asm.R0, 0).WithSymbol("exit"), asm.Return())
}

func loadBaseline(b *testing.B, name string, instructions asm.Instructions) *ebpf.Program {
	b.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.SchedCLS, License: "GPL", Instructions: finish(instructions),
	})
	must(b, err)
	b.Cleanup(func() { must(b, program.Close()) })
	return program
}

// baselineFrames are to the given addresses, by turns.
func baselineFrames(addrs [][4]byte) [][]byte {
	frames := make([][]byte, verdictPackets)
	for n := range frames {
		packet := tcp(addrFar+":40000", addrA+":80", "A").bytes()
		copy(packet[16:], addrs[n*7919%len(addrs)][:])
		frames[n] = ethernet(mac(1), mac(2), layers.EthernetTypeIPv4, packet)
	}
	return frames
}

func baselineParse(b *testing.B) timed {
	b.Helper()
	program := loadBaseline(b, "parse", parsing())
	frames := baselineFrames(randomAddrs(verdictPackets))
	return func() float64 { return timeRuns(b, program, frames, skb{}) }
}

// lookUp finds the destination in a map, whose key it is, behind a prefix's
// length for an LPM trie.
func lookUp(m *ebpf.Map, trie bool) asm.Instructions {
	key := int32(stackKey + 4)
	instructions := append(parsing(), load(ipDstAt, 4, stackKey+4)...)
	if trie {
		key = stackKey
		instructions = append(instructions, asm.StoreImm(asm.RFP, stackKey, 32, asm.Word))
	}
	return append(instructions,
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, key),
		asm.FnMapLookupElem.Call(),
	)
}

func baselineHash(b *testing.B) timed {
	b.Helper()
	addrs := randomAddrs(1 << 16)
	m := newBaselineMap(b, &ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 1 << 16})
	for _, addr := range addrs {
		must(b, m.Put(addr, uint32(1)))
	}
	program := loadBaseline(b, "hash", lookUp(m, false))
	frames := baselineFrames(addrs)
	return func() float64 { return timeRuns(b, program, frames, skb{}) }
}

// baselineLPM looks up among so many prefixes of 32 bits.
func baselineLPM(b *testing.B, count int) timed {
	b.Helper()
	addrs := randomAddrs(count)
	m := newBaselineMap(b, &ebpf.MapSpec{
		Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 4, MaxEntries: uint32(count), Flags: 1, // BPF_F_NO_PREALLOC
	})
	for _, addr := range addrs {
		must(b, m.Put(struct {
			Bits uint32
			Addr [4]byte
		}{32, addr}, uint32(1)))
	}
	program := loadBaseline(b, "lpm", lookUp(m, true))
	frames := baselineFrames(addrs)
	return func() float64 { return timeRuns(b, program, frames, skb{}) }
}

func newBaselineMap(b *testing.B, spec *ebpf.MapSpec) *ebpf.Map {
	b.Helper()
	m, err := ebpf.NewMap(spec)
	must(b, err)
	b.Cleanup(func() { must(b, m.Close()) })
	return m
}

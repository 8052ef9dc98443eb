package wire

import (
	"net/netip"
	"testing"
)

// frame makes an Ethernet frame with an IPv4 packet.
func frame(src, dst string, protocol byte, ports ...byte) []byte {
	packet := make([]byte, ethernetLength+20, ethernetLength+24)
	packet[12], packet[13] = 8, 0
	ip := packet[ethernetLength:]
	ip[0], ip[9] = 0x45, protocol
	copy(ip[12:], netip.MustParseAddr(src).AsSlice())
	copy(ip[16:], netip.MustParseAddr(dst).AsSlice())
	return append(packet, ports...)
}

func TestClassify(t *testing.T) {
	rules := Rules{Port: 0x1234, Inside: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}}
	fragment := frame("172.18.0.2", "172.18.0.3", 17, 0x12, 0x34, 0x12, 0x34)
	fragment[ethernetLength+7] = 1
	for name, test := range map[string]struct {
		frame []byte
		want  Class
	}{
		"tunnel":             {frame("172.18.0.2", "172.18.0.3", 17, 0x12, 0x34, 0x12, 0x34), WireGuard},
		"one port":           {frame("172.18.0.2", "172.18.0.3", 17, 0x12, 0x34, 0, 53), Rest},
		"other protocol":     {frame("172.18.0.2", "172.18.0.3", 6, 0x12, 0x34, 0x12, 0x34), Rest},
		"fragment":           {fragment, Rest},
		"pod to node":        {frame("10.244.1.2", "172.18.0.3", 17, 0x12, 0x34, 0x12, 0x34), PodsClear},
		"node to pod":        {frame("172.18.0.2", "10.244.1.2", 6, 0, 80, 0, 80), PodsClear},
		"API server's reply": {frame("172.18.0.2", "172.18.0.3", 6, 0x19, 0x2b, 0xab, 0xcd), Kubernetes},
		"ARP":                {append(make([]byte, 12), 8, 6), Neighbours},
		"short IP":           {append(make([]byte, 12), 8, 0, 0x45), Rest},
		"nothing":            {nil, Rest},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rules.classify(test.frame); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCountsFindMarker(t *testing.T) {
	counts := Counts{}
	counts.add(Rest, []byte("a marker in it"), []byte("marker"))
	counts.add(Rest, []byte("nothing"), []byte("marker"))
	counts.add(WireGuard, []byte("more"), []byte("marker"))
	if want := (Count{Frames: 2, Bytes: 21, Marked: 1}); counts[Rest] != want || counts.Marked() != 1 {
		t.Errorf("got %+v, %d marked", counts, counts.Marked())
	}
}

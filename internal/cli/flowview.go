package cli

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/signet-cni/signet/identity"
	"github.com/signet-cni/signet/internal/api"
	"github.com/signet-cni/signet/internal/cli/table"
)

var verdictColours = map[string]table.Colour{
	api.Admitted: table.Green, api.Dropped: table.Red, api.Forwarded: table.Faint,
	api.Audited: table.Yellow, api.Over: table.Faint,
}

// flowView shows records as they come, in the format asked for.
type flowView struct {
	app       *app
	nodeWidth int // widest name of a node so far
}

// show shows a record. The node is the one that told it, "" for this one.
func (v *flowView) show(node string, r api.Record) error {
	if v.app.output == "json" {
		return json.NewEncoder(v.app.env.Stdout).Encode(r)
	}
	if r.Flow == nil {
		v.tellMissing(node, r)
		return nil
	}
	return v.app.print(v.line(r.Flow))
}

// tellMissing tells how many flows are not shown, and why.
func (v *flowView) tellMissing(node string, r api.Record) {
	where := ""
	if node != "" {
		where = "node " + node + ": "
	}
	for _, m := range []struct {
		count uint64
		why   string
	}{
		{r.Lost, "came too fast and are missing here"},
		{r.RingFull, "were lost because the ring to the agent was full"},
		{r.Suppressed, "are drops over the rate limit, which are only counted"},
	} {
		if m.count > 0 {
			v.app.complain(fmt.Sprintf("%s%d flows %s", where, m.count, m.why))
		}
	}
}

func (v *flowView) line(f *api.Flow) string {
	wide := v.app.output == "wide"
	at := f.Time.In(v.app.env.Now().Location())
	v.nodeWidth = max(v.nodeWidth, len(f.Node))
	verdict := table.Paint(fmt.Sprintf("%-9s", table.Clean(f.Verdict)), verdictColours[f.Verdict], v.app.env.Colour)
	parts := []string{at.Format("15:04:05.000"), fmt.Sprintf("%-*s", v.nodeWidth, table.Clean(f.Node)), verdict}
	if wide {
		parts[0] = at.Format(time.StampMilli)
		parts = append(parts, fmt.Sprintf("%-7s %-12s", table.Clean(f.Direction), table.Clean(f.Hook)))
	}
	ends := fmt.Sprintf("%-4s %s -> %s", f.Protocol, endText(&f.Src, f.Protocol, wide), endText(&f.Dst, f.Protocol, wide))
	parts = append(parts, table.Clean(ends))
	if notes := noteText(f, wide); notes != "" {
		parts = append(parts, table.Clean(notes))
	}
	return strings.Join(parts, " ")
}

// endText gives the best name of an end: its pod, else its namespace and
// address, else its address.
func endText(end *api.End, protocol string, wide bool) string {
	name := addrText(end.Addr)
	switch {
	case end.Pod != "":
		name = end.Namespace + "/" + end.Pod
	case end.Namespace != "":
		name = end.Namespace + "/" + name
	}
	if end.Port != 0 && !strings.HasPrefix(protocol, "ICMP") {
		name = portText(name, end)
	}
	known := identityText(end, wide)
	if known == "" {
		return name
	}
	return name + " (" + known + ")"
}

func portText(name string, end *api.End) string {
	if end.Pod == "" && end.Namespace == "" {
		return netip.AddrPortFrom(end.Addr, end.Port).String()
	}
	return fmt.Sprintf("%s:%d", name, end.Port)
}

func identityText(end *api.End, wide bool) string {
	switch {
	case end.Identity == identity.Unknown && !wide:
		return ""
	case end.IdentityName != "":
		return end.IdentityName
	case !wide:
		return ""
	}
	text := "identity " + end.Identity.String()
	if end.Pod != "" {
		text += ", " + addrText(end.Addr)
	}
	if len(end.Labels) > 0 {
		text += ", " + labelText(end.Labels)
	}
	return text
}

// endedText says what a flow carried, and for how long.
func endedText(f *api.Flow) string {
	if f.Ended == nil {
		return ""
	}
	carried := func(c api.Carried) string {
		return count(int(c.Packets), "packet", "packets") + ", " + byteText(c.Bytes)
	}
	age := "under 0.1 s"
	if lived := f.Time.Sub(f.Ended.Opened); lived >= 100*time.Millisecond {
		age = lived.Round(100 * time.Millisecond).String()
	}
	return fmt.Sprintf("after %s: sent %s; answered %s", age,
		carried(f.Ended.Sent), carried(f.Ended.Answered))
}

func serviceText(f *api.Flow) string {
	if f.ServiceName == "" {
		return f.Service.String()
	}
	return fmt.Sprintf("%s:%d", f.ServiceName, f.Service.Port())
}

// policyText names policies, with the rules that admit.
func policyText(parts []api.PolicyPart) string {
	texts := make([]string, 0, len(parts))
	for _, p := range parts {
		text := p.Namespace + "/" + p.Name
		for _, rule := range p.Rules {
			text += fmt.Sprintf(" %s[%d]", p.Direction, rule)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

// noteText gives what else there is to say, with commas between.
func noteText(f *api.Flow, wide bool) string {
	var notes []string
	add := func(wanted bool, format string, args ...any) {
		if wanted {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	add(f.Service.IsValid(), "Service %s", serviceText(f))
	denied := f.Verdict == api.Dropped || f.Verdict == api.Audited
	add(f.Ended != nil, "%s", endedText(f))
	add(!denied && len(f.Policies) > 0, "by %s", policyText(f.Policies))
	add(f.Reply, "reply")
	add(f.Again, "judged again")
	add(f.Unattested && f.Verdict != api.Dropped, "identity not verified for its node")
	add(f.TCPFlags != "" && (wide || denied), "%s", strings.ReplaceAll(f.TCPFlags, ",", "+"))
	add(wide && f.Ended == nil, "%d bytes", f.Bytes)
	add(wide, "policy revision %d", f.Revision)
	text := strings.Join(notes, ", ")
	if !denied || f.Reason == "" {
		return text
	}
	reason := f.Reason
	switch {
	case len(f.Policies) > 0:
		reason += ": isolated by " + policyText(f.Policies)
	case f.ReasonText != "":
		reason += ": " + f.ReasonText
	}
	if text != "" {
		reason += " (" + text + ")"
	}
	return reason
}

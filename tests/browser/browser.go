// Package browser drives a headless Chromium, as a person would look at a page
// and click on it. It needs Debian's package chromium.
package browser

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// program is Debian's.
const program = "chromium"

// patience is for a slow machine.
const patience = time.Minute

// Page is one tab.
type Page struct {
	t   testing.TB
	ctx context.Context
}

// Size of the window, in pixels.
type Size struct{ Width, Height int64 }

// Open opens an address in a browser of its own, which ends with the test.
// Whatever the page complains of fails the test: errors of its scripts, and
// what its Content-Security-Policy refuses.
func Open(t testing.TB, address string, size Size) *Page {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("no browser: apt-get install %s: %v", program, err)
	}
	// Nothing but this machine is looked up or spoken to.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"))
	allocator, release := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(release)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(leave)
	p := &Page{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, p.listen)
	if err := chromedp.Run(ctx); err != nil { // starts the browser, which a deadline would end
		t.Fatalf("start %s: %v", program, err)
	}
	p.do("open "+address, emulation.SetDeviceMetricsOverride(size.Width, size.Height, 1, false), chromedp.Navigate(address))
	return p
}

func (p *Page) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.t.Errorf("the page throws: %v", e.ExceptionDetails)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError {
			p.t.Errorf("the page complains: %v", e.Args)
		}
	}
}

func (p *Page) do(what string, actions ...chromedp.Action) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// Eval evaluates an expression of JavaScript.
func Eval[T any](p *Page, expression string) (value T) {
	p.t.Helper()
	p.do(expression, chromedp.Evaluate(expression, &value))
	return value
}

// Wait waits until an expression holds.
func (p *Page) Wait(expression string) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if Eval[bool](p, "Boolean("+expression+")") {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("never: %s\nthe page says: %s", expression, Eval[string](p, "document.body.innerText"))
		}
	}
}

// Click clicks in the middle of the first element that a CSS selector finds,
// on whatever lies there.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.do("click "+selector, chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

// Type types into the first element that a CSS selector finds.
func (p *Page) Type(selector, keys string) {
	p.t.Helper()
	p.do("type into "+selector, chromedp.SendKeys(selector, keys, chromedp.ByQuery))
}

// Text gives what the first element that a CSS selector finds shows.
func (p *Page) Text(selector string) (text string) {
	p.t.Helper()
	p.do("read "+selector, chromedp.Text(selector, &text, chromedp.ByQuery))
	return text
}

// Screenshot writes what is to be seen as a PNG file.
func (p *Page) Screenshot(path string) {
	p.t.Helper()
	var picture []byte
	p.do("take a screenshot", chromedp.CaptureScreenshot(&picture))
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// Press presses a key, on whatever has the focus.
func (p *Page) Press(key string) {
	p.t.Helper()
	if named, ok := keys[key]; ok {
		key = named
	}
	p.do("press "+key, chromedp.KeyEvent(key))
}

// keys that are no characters.
var keys = map[string]string{"Enter": kb.Enter, "Escape": kb.Escape, "Tab": kb.Tab}

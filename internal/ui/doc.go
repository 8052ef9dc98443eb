// Package ui serves the page of "signet ui": the flow map in a browser. The
// page is embedded in the binary and loads nothing from elsewhere.
//
//	GET /            the page and its parts; nothing secret
//	GET /api/map     flowmap.Updates, one a line, for as long as the reader stays
//
// The map is for whoever has the token, which the page gets in the fragment of
// its address and sends back in a header: no other site, no link and no form
// can send it. Requests for another host name are refused, so that a name that
// is pointed at this machine (DNS rebinding) reaches not even the page.
package ui

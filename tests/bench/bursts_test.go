package main

import (
	"io"
	"net"
	"testing"
	"time"
)

// loopback gives both ends of a connection.
func loopback(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// counted counts what is read.
type counted struct {
	net.Conn
	bytes int64
}

func (c *counted) Read(buf []byte) (int, error) {
	n, err := c.Conn.Read(buf)
	c.bytes += int64(n)
	return n, err
}

func TestBurstsArriveWhole(t *testing.T) {
	client, server := loopback(t)
	b, arrived := &bursts{conn: client, heard: make(chan error, 1)}, &counted{Conn: server}
	go hear(arrived, b.heard)
	var sent int64
	for i := range 3 {
		count, err := b.send(10 * time.Millisecond)
		if err != nil || count == 0 {
			t.Fatalf("burst %d: %d bytes, error %v", i, count, err)
		}
		if sent += count; arrived.bytes != sent {
			t.Errorf("after burst %d %d of %d bytes have arrived", i, arrived.bytes, sent)
		}
	}
}

func TestBurstsEnd(t *testing.T) {
	client, server := loopback(t)
	b := &bursts{conn: client, heard: make(chan error, 1)}
	go hear(server, b.heard)
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := <-b.heard; err == nil {
		t.Error("a connection that ended is a burst that arrived")
	}
	if _, err := io.ReadAll(client); err != nil {
		t.Errorf("the server did not close: %v", err)
	}
	if _, err := b.send(time.Millisecond); err == nil {
		t.Error("a burst arrived over a connection that ended")
	}
}

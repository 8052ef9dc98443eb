// Command boot runs a kernel under QEMU whose init is tests/vm/init, and
// reports what the test binaries in there say.
//
// The guest has two serial ports: the kernel logs to the first, and init and
// the tests write to the second. On that one, lines that start with "@@ " are
// init's: which kernel runs, where each binary starts, its exit status, and
// the end. The exit status of this command is 0 only if every binary that the
// arguments name ended with status 0, none skipped a test that has to run
// here, and the guest came to its end in time.
package main

// Package tunnel drives a node's two WireGuard devices and changes their keys.
//
// All traffic takes the first device. The second, the detour, is idle: it
// exists because a device has one private key, and a prefix belongs to one peer
// of a device, so that no device can take packets under an old key and a new
// one at once. To change the key of the first device,
//
//  1. the node publishes that it prefers the detour. Each of its peers, and it
//     itself, shakes hands there and then sends by it: both ends take packets
//     from both devices all the time, so nothing is lost or waits.
//  2. When every peer is seen to send by the detour, nothing uses the first
//     device. It gets a new key, which the node publishes, and the preference is
//     withdrawn.
//  3. Each pair moves back as soon as it has shaken hands under the new key.
//  4. When every peer is seen to do so, the detour gets a new key as well.
//
// A pair never moves to a device on which it has no session. That a peer has
// moved is seen in the tunnel itself: as long as keys change, each agent makes
// WireGuard send an empty packet a second by the device in use. A peer whose
// agent is dead does not follow, and is waited for; step 2 is never taken
// without it, and the old key stays in force.
//
// An agent that dies on the way leaves every pair on a device with a session.
// The next one prefers the first device again; if the key there was changed
// already, it goes through steps 1, 3 and 4 once more.
package tunnel

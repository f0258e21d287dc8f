// Package inside has a test.
package inside

const Name = "@name@"

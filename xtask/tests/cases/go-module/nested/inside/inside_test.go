package inside

import (
	"os"
	"testing"
)

func TestName(t *testing.T) {
	want, err := os.ReadFile("testdata/name")
	if err != nil || string(want) != Name {
		t.Fatalf("%q, %v", Name, err)
	}
}

func TestNotRun(t *testing.T) {
	t.Fatal("checkFlags leave this out")
}

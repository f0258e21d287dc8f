# Go's standard library, compiled and vetted once per toolchain: a folder to begin a GOCACHE with, for tests whose
# own code is small.
{ go_1_25, runCommand }:

runCommand "go-standard-library-${go_1_25.version}"
  {
    nativeBuildInputs = [ go_1_25 ];
    allowSubstitutes = false;
  }
  ''
    export HOME=$TMPDIR GOCACHE=$out GOPROXY=off GOSUMDB=off GOTOOLCHAIN=local CGO_ENABLED=0
    mkdir use && cd use
    cat >go.mod <<MOD
    module use
    go 1.24
    MOD
    cat >use_test.go <<GO
    package use

    import (
    	_ "encoding/json"
    	_ "mime/multipart"
    	_ "net/http/httptest"
    	_ "net/http/httputil"
    	_ "net/url"
    	_ "os"
    	_ "reflect"
    	_ "regexp"
    	"testing"
    )

    func TestNothing(*testing.T) {}
    GO
    go vet .
    go test .
  ''

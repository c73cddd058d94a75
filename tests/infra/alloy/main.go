// Parses a configuration of Grafana Alloy from standard input with Alloy's own parser.
// Ends with status 1 and what is wrong, or prints each block's name as a line.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/grafana/alloy/syntax/parser"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	file, err := parser.ParseFile("block", text)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	list(file.Body, "")
}

func list(body ast.Body, within string) {
	for _, statement := range body {
		switch s := statement.(type) {
		case *ast.BlockStmt:
			name := within + strings.Join(s.Name, ".")
			fmt.Println(name)
			list(s.Body, name+"/")
		case *ast.AttributeStmt:
			fmt.Println(within + s.Name.Name)
		}
	}
}

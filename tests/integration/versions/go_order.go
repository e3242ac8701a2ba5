// Reads pairs of versions, a tab between them, one pair a line; prints -1, 0 or 1 for each, or null
// where one is not valid.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/semver"
)

func withV(version string) string {
	if strings.HasPrefix(version, "v") {
		return version
	}
	return "v" + version
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	answers := bufio.NewWriter(os.Stdout)
	defer answers.Flush()
	for lines.Scan() {
		first, second, _ := strings.Cut(lines.Text(), "\t")
		first, second = withV(first), withV(second)
		if semver.IsValid(first) && semver.IsValid(second) {
			fmt.Fprintln(answers, semver.Compare(first, second))
		} else {
			fmt.Fprintln(answers, "null")
		}
	}
}

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.StringJoiner;
import org.apache.maven.artifact.versioning.DefaultArtifactVersion;
import org.apache.maven.artifact.versioning.InvalidVersionSpecificationException;
import org.apache.maven.artifact.versioning.VersionRange;

/** Reads a range and versions, tabs between them, one range a line; prints which it contains, as JSON. */
public final class MavenRanges {
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        StringBuilder answers = new StringBuilder();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] fields = line.split("\t");
            try {
                VersionRange range = VersionRange.createFromVersionSpec(fields[0]);
                StringJoiner contained = new StringJoiner(",", "[", "]");
                for (int at = 1; at < fields.length; at++) {
                    contained.add(
                            String.valueOf(range.containsVersion(new DefaultArtifactVersion(fields[at]))));
                }
                answers.append(contained);
            } catch (InvalidVersionSpecificationException refused) {
                answers.append("null");
            }
            answers.append('\n');
        }
        System.out.print(answers);
    }
}

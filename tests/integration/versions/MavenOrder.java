import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.apache.maven.artifact.versioning.ComparableVersion;

/** Reads pairs of versions, a tab between them, one pair a line; prints -1, 0 or 1 for each. */
public final class MavenOrder {
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        StringBuilder answers = new StringBuilder();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            int tab = line.indexOf('\t');
            ComparableVersion first = new ComparableVersion(line.substring(0, tab));
            ComparableVersion second = new ComparableVersion(line.substring(tab + 1));
            answers.append(Integer.signum(first.compareTo(second))).append('\n');
        }
        System.out.print(answers);
    }
}

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.stream.Collectors;

/**
 * Reads pairs of Java runtimes' versions, a tab between them, one pair a line; prints -1, 0 or 1 for each, or
 * null where one is refused. Builds and what follows them are left out.
 */
public final class JavaOrder {
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        StringBuilder answers = new StringBuilder();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            int tab = line.indexOf('\t');
            String answer;
            try {
                int order = release(line.substring(0, tab)).compareTo(release(line.substring(tab + 1)));
                answer = String.valueOf(Integer.signum(order));
            } catch (IllegalArgumentException refused) {
                answer = "null";
            }
            answers.append(answer).append('\n');
        }
        System.out.print(answers);
    }

    private static Runtime.Version release(String text) {
        Runtime.Version whole = Runtime.Version.parse(text);
        String numbers =
                whole.version().stream().map(String::valueOf).collect(Collectors.joining("."));
        return Runtime.Version.parse(numbers + whole.pre().map(pre -> "-" + pre).orElse(""));
    }
}

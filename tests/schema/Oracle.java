import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HexFormat;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * The Java client's codec as a judge of ours. Standard input: the lines of vectors.c, and
 * "error CODE NAME" for each of our error codes. Each message is read with Kafka's classes, must be
 * used up, and must come out byte for byte the same. Exit code 1 if one does not.
 */
public class Oracle {
    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in));
        int messages = 0, errors = 0, failures = 0;
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", -1);
            String problem;
            if (words[0].equals("error")) {
                errors++;
                problem = checkError(Short.parseShort(words[1]), words[2]);
            } else {
                messages++;
                problem = check(words);
            }
            if (problem != null && failures++ < 20)
                System.out.println(problem);
        }
        if (errors != Errors.values().length)
            failures++;
        System.out.printf("%d messages, %d of %d error codes, %d failures%n", messages, errors,
            Errors.values().length, failures);
        System.exit(failures == 0 && messages > 0 ? 0 : 1);
    }

    private static String checkError(short code, String name) {
        Errors ours = Errors.forCode(code);
        return ours.code() == code && ours.name().equals(name) ? null
            : "error " + code + " is " + ours.name() + " in Kafka, not " + name;
    }

    private static String check(String[] words) {
        var type = ApiMessageType.fromApiKey(Short.parseShort(words[0]));
        boolean request = words[1].equals("request");
        short version = Short.parseShort(words[2]);
        byte[] bytes = HexFormat.of().parseHex(words[3]);
        String what = type.name + " " + words[1] + " v" + version + ": ";
        try {
            ApiMessage message = request ? type.newRequest() : type.newResponse();
            ByteBuffer input = ByteBuffer.wrap(bytes);
            message.read(new ByteBufferAccessor(input), version);
            if (input.hasRemaining())
                return what + input.remaining() + " bytes were left";
            var cache = new ObjectSerializationCache();
            ByteBuffer output = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(output), cache, version);
            return Arrays.equals(bytes, output.array()) ? null
                : what + words[3] + " became " + HexFormat.of().formatHex(output.array());
        } catch (RuntimeException e) {
            return what + e;
        }
    }
}

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.kafka.common.utils.internals.Exit;

/**
 * Runs Kafka's command-line tools in one JVM, one after the other, as their scripts would.
 *
 * Asked on stdin:  count, then that many texts: class, what the tool reads from stdin, its words.
 * Answers on stdout:  exit status, what it printed.
 * A text is its length (int) and its UTF-8 bytes.
 */
public class Tools {
    /** Thrown where a tool would end the process; some catch it, print it, and end again. */
    static class Ended extends Error {
        Ended() {
            super(null, null, false, false);
        }
    }

    static final ByteArrayOutputStream printed = new ByteArrayOutputStream();
    static final List<Runnable> hooks = new ArrayList<>();
    static int status;
    static int printedAtEnd; // what comes after the end is noise; -1: it did not end yet

    static void end(int with) {
        if (printedAtEnd < 0) {
            status = with;
            shutDown();
        }
        throw new Ended();
    }

    /** What the end of the process would do: some tools send or print their last then. */
    static void shutDown() {
        printedAtEnd = printed.size(); // a hook that ends again does not come here twice
        for (Runnable hook : hooks)
            hook.run();
        System.out.flush();
        printedAtEnd = printed.size();
    }

    public static void main(String[] unused) throws Exception {
        DataInputStream in = new DataInputStream(System.in);
        DataOutputStream out = new DataOutputStream(new FileOutputStream(FileDescriptor.out));
        /* For good: what a thread of a tool prints after its end must not come between answers. */
        PrintStream captured = new PrintStream(printed, true, StandardCharsets.UTF_8);
        System.setOut(captured);
        System.setErr(captured);
        Exit.setExitProcedure((with, message) -> end(with));
        Exit.setHaltProcedure((with, message) -> end(with));
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        while (true) {
            int count;
            try {
                count = in.readInt();
            } catch (EOFException end) {
                Runtime.getRuntime().halt(0);
                return;
            }
            String[] texts = new String[count];
            for (int i = 0; i < count; i++)
                texts[i] = read(in);
            run(texts);
            byte[] answer = Arrays.copyOf(printed.toByteArray(), printedAtEnd);
            out.writeInt(status);
            out.writeInt(answer.length);
            out.write(answer);
            out.flush();
        }
    }

    static String read(DataInputStream in) throws Exception {
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    static void run(String[] texts) throws Exception {
        printed.reset();
        hooks.clear();
        printedAtEnd = -1;
        status = 0;
        System.setIn(new ByteArrayInputStream(texts[1].getBytes(StandardCharsets.UTF_8)));
        Object words = Arrays.copyOfRange(texts, 2, texts.length);
        try {
            Class.forName(texts[0]).getMethod("main", String[].class).invoke(null, words);
        } catch (InvocationTargetException thrown) {
            if (!(thrown.getCause() instanceof Ended)) {
                thrown.getCause().printStackTrace(System.out);
                status = printedAtEnd < 0 ? 99 : status;
            }
        } finally {
            if (printedAtEnd < 0)
                shutDown();
        }
    }
}

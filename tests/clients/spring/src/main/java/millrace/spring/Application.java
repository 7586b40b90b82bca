package millrace.spring;

import java.util.Scanner;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.event.EventListener;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.event.ConsumerStoppedEvent;
import org.springframework.kafka.support.SendResult;

/**
 * A publisher and a subscriber as any Spring application has them. Commands on standard input,
 * "send KEY VALUE" and "sendbig BYTES"; what happens goes to standard output, one line an event.
 */
@SpringBootApplication
public class Application implements CommandLineRunner {
    private final KafkaTemplate<String, String> template;

    @Value("${topic}")
    private String topic;

    @Value("${slow-ms:0}")
    private long slowMs;

    public Application(KafkaTemplate<String, String> template) {
        this.template = template;
    }

    public static void main(String[] args) {
        SpringApplication.run(Application.class, args);
    }

    @KafkaListener(id = "subscriber", topics = "${topic}", groupId = "${group}")
    public void onMessage(ConsumerRecord<String, String> rec) throws InterruptedException {
        System.out.printf("GOT %d %d %s %s%n", rec.partition(), rec.offset(), rec.key(),
            rec.value());
        Thread.sleep(slowMs);
    }

    @EventListener
    public void onStop(ConsumerStoppedEvent event) {
        System.out.println("STOPPED " + event.getReason());
    }

    @Override
    public void run(String... args) throws Exception {
        System.out.println("READY");
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextLine()) {
            String[] words = lines.nextLine().split(" ");
            if (words[0].equals("send"))
                send(words[1], words[2]);
            else if (words[0].equals("sendbig"))
                send("big", "z".repeat(Integer.parseInt(words[1])));
        }
        System.exit(0);
    }

    private void send(String key, String value) {
        try {
            SendResult<String, String> done = template.send(topic, key, value)
                .get(20, TimeUnit.SECONDS);
            System.out.printf("SENT %d %d%n", done.getRecordMetadata().partition(),
                done.getRecordMetadata().offset());
        } catch (Exception err) {
            Throwable root = err;
            while (root.getCause() != null)
                root = root.getCause();
            System.out.println("REFUSED " + root.getClass().getSimpleName());
        }
    }
}

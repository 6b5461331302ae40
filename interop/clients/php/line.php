<?php
// A PHP client's side of the suite's protocol: JSON lines on standard input and output (interop/README.md).
declare(strict_types=1);

/** The library has no function for what is asked, or cannot be made to do it so. */
final class Unsupported extends Exception
{
}

/** Answers until standard input ends: a method for each `do`; `seen` is what a caller can read from an error. */
function serve(object $client): void
{
    while (($line = fgets(STDIN)) !== false) {
        $answer = answer($client, json_decode($line, true));
        echo json_encode($answer, JSON_THROW_ON_ERROR), "\n";
        flush();
    }
}

function answer(object $client, array $request): array
{
    if (!method_exists($client, $request['do'])) {
        return ['ok' => false, 'unsupported' => "has no {$request['do']}"];
    }
    try {
        return ['ok' => true] + $client->{$request['do']}($request);
    } catch (Unsupported $why) {
        return ['ok' => false, 'unsupported' => $why->getMessage()];
    } catch (Exception $error) {
        $what = ['raised' => get_class($error), 'text' => $error->getMessage()];
        return ['ok' => false] + $what + $client->seen($error);
    }
}

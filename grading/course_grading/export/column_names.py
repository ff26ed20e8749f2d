"""The names of the platforms' columns in other languages and versions. (codespell skips this
file: its words are not English.)
"""

import re
import unicodedata

_NAMES = {
    "First name": (
        "FirstName, First Name, first_name, Given name, Vorname, Prénom, Nombre, Nome, Voornaam, "
        "Förnamn, Fornavn, Imię"
    ),
    "Last name": (
        "LastName, Last Name, last_name, Surname, Family name, Nachname, Nom, Nom de famille, "
        "Apellido(s), Apellidos, Apellido, Cognome, Sobrenome, Apelido, Achternaam, Efternamn, "
        "Etternavn, Efternavn, Nazwisko"
    ),
    "Full name": (
        "full_name, Vollständiger Name, Nom complet, Nombre completo, Nome completo, Nome/Cognome, "
        "Volledige naam, Fullständigt namn, Fullt navn, Imię i nazwisko"
    ),
    "Email address": (
        "E-mail address, E-Mail-Adresse, E-Mail, Adresse de courriel, Adresse e-mail, Courriel, "
        "Dirección de correo, Dirección Email, Correo electrónico, Indirizzo email, "
        "Endereço de email, Endereço de e-mail, E-mailadres, E-postadress, E-postadresse, "
        "Adres e-mail"
    ),
    "ID number": (
        "ID-Nummer, Matrikelnummer, Numéro d'identification, Número de ID, Codice identificativo, "
        "Número de identificação, ID-nummer, IDnummer, Numer ID"
    ),
    "Username": (
        "User name, Login, Anmeldename, Nutzername, Benutzername, Nom d'utilisateur, "
        "Nombre de usuario, Nome utente, Nome de usuário, Nome de utilizador, Gebruikersnaam, "
        "Användarnamn, Brukernavn, Brugernavn, Nazwa użytkownika"
    ),
    "Groups": "Group, Gruppe, Gruppen, Groupe, Groupes, Grupo, Grupos, Gruppo, Gruppi, Groep",
    "Section": "Sections, Abschnitt, Sección, Sezione, Seção",
    "Student": "Student Name, Studierende, Étudiant, Étudiants, Estudiante, Studente, Aluno",
}


def _key(name: str) -> str:
    return re.sub(r"[\s’'_-]+", "", unicodedata.normalize("NFKC", name)).casefold()


_ENGLISH = {
    _key(name): column for column, names in _NAMES.items() for name in [column, *names.split(",")]
}


def to_english(column: str) -> str:
    """The English name of a column; unknown names are unchanged."""
    return _ENGLISH.get(_key(column), column)
